//! Plays one case against one instance of each program and judges it.
//!
//! A job is played in this order. The suite waits for its turn to start programs, starts the surroundings of the role
//! (targets for a client or a pair, a control port for a client), starts the subject, and plays the steps. Then it
//! examines the program: if all steps came true, the program must still work, see [`hang::afterwards`]; if a step was
//! late, the suite finds out whether the program hangs, see [`hang::find`]. Finally it stops the programs and makes a
//! verdict of these [`Facts`]. A case that is not red so far gets its verdict from its twin, if that is red.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use netroxy_specification::catalog::{PORTS, TARGETS, number_of};
use netroxy_specification::notation::ast::{
    Case, Line, Piece, Setting, Shown, Side, Template, Transport,
};
use tokio::sync::SemaphorePermit;
use tokio::time::sleep;

use super::hang::{self, afterwards};
use super::job::Job;
use super::starts;
use super::twins::Twins;
use crate::descriptors::{self, Since};
use crate::manifest::Manifest;
use crate::player::{Broken, ClientScene, Outcome, Player, Scene, Waited};
use crate::ports::Lease;
use crate::sut::{
    Announced, Between, ClientPlan, Instance, Pair, PairPlan, Programs, StartError, Subject,
    start_client, start_server, unique_name,
};
use crate::times::{END_POLL, GOING_DOWN};
use crate::verdict::{Facts, Judged, Reason, Steps, Unjudged, decide};
use crate::wire::{Listener, SilentTarget, Tls};

/// Plays a case against an instance of its own and judges what happened.
///
/// A case that has a twin passes only if the twin succeeds too: a program that closes every connection breaks no rule
/// about closing, but proves nothing. A twin is played once in a run.
///
/// If the suite ran out of file descriptors meanwhile, a red result becomes [`Unjudged::Harness`]: the failure proves
/// nothing about the program. The second value describes a step that was late, if one was.
pub(super) async fn judge(job: &Job, tls: &Tls, twins: &Twins) -> (Judged, Option<Waited>) {
    if let Some(skip) = &job.skip {
        return (job.unjudged(Unjudged::Skipped(skip.clone())), None);
    }
    let since = Since::now();
    let (judged, waited) = with_twin(job, tls, twins).await;
    match since.shortage().filter(|_| judged.verdict.is_red(true)) {
        Some(shortage) => (job.unjudged(Unjudged::Harness(shortage)), None),
        None => (judged, waited),
    }
}

async fn with_twin(job: &Job, tls: &Tls, twins: &Twins) -> (Judged, Option<Waited>) {
    let (own, waited) = play(job, &job.entry.case, tls, None).await;
    let Some((name, twin)) = job
        .entry
        .twin
        .as_ref()
        .filter(|_| !own.judged.verdict.is_red(false))
    else {
        return (own.judged, waited);
    };
    let (control, in_vain) = twins
        .get(job, name, || async {
            let (control, in_vain) = play(job, twin, tls, None).await;
            (control.judged, in_vain)
        })
        .await;
    let verdict = own.facts.map_or(own.judged.verdict, |facts| {
        decide(Facts {
            twin: Some(control.verdict),
            ..facts
        })
    });
    if verdict == own.judged.verdict {
        return (own.judged, waited);
    }
    let broken = control.broken.map(|broken| Broken {
        marks: Vec::new(),
        ..broken
    });
    let judged = Judged {
        verdict,
        reason: Some(Reason::Twin(name.clone())),
        twin: Some(name.clone()),
        broken,
        id: own.judged.id,
        file: own.judged.file,
        took: own.judged.took + control.took,
        ..control
    };
    (judged, in_vain)
}

/// Plays a case and returns the running programs.
///
/// # Errors
/// If it cannot be started.
pub(crate) async fn stage(job: &Job, tls: &Tls) -> Result<(Outcome, Programs), StartError> {
    staged(job, &job.entry.case, tls, turn(job).await, None).await
}

async fn staged(
    job: &Job,
    case: &Case,
    tls: &Tls,
    turn: Turn,
    between: Option<&mut Between>,
) -> Played {
    match &*job.subject {
        Subject::Started(manifest) if manifest.role == Side::Client => {
            play_client(job, case, manifest, tls, turn).await
        }
        Subject::Started(_) | Subject::Running(_) => play_server(job, case, tls, turn).await,
        Subject::Pair(pair) => play_pair(job, case, pair, tls, turn, between).await,
    }
}

/// A result, and the facts that decided its verdict; no facts if nothing was judged.
pub(super) struct Concluded {
    pub(super) judged: Judged,
    facts: Option<Facts>,
}

/// Plays a case and judges it. The two programs of a pair are connected through the relay `between`, if there is one.
pub(super) async fn play(
    job: &Job,
    case: &Case,
    tls: &Tls,
    between: Option<&mut Between>,
) -> (Concluded, Option<Waited>) {
    let turn = turn(job).await;
    // The time that the case waited for its turn is not its own.
    let begun = Instant::now();
    let (mut concluded, waited) = played(job, case, tls, turn, between).await;
    concluded.judged.took = begun.elapsed();
    (concluded, waited)
}

async fn played(
    job: &Job,
    case: &Case,
    tls: &Tls,
    turn: Turn,
    mut between: Option<&mut Between>,
) -> (Concluded, Option<Waited>) {
    let staged = staged(job, case, tls, turn, between.as_deref_mut()).await;
    if staged
        .as_ref()
        .map_or(true, |(outcome, _)| outcome.broken.is_some())
    {
        // An embedded peer shares the descriptors of the suite, and may have run out of them.
        descriptors::look();
    }
    let unjudged = |reason| Concluded {
        judged: job.unjudged(reason),
        facts: None,
    };
    match staged {
        Ok((outcome, mut programs)) => {
            if let Some(skip) = outcome.skip {
                programs.stop().await;
                let facts = Some(Facts::of(Steps::Skipped));
                let judged = job.unjudged(Unjudged::Skipped(skip));
                return (Concluded { judged, facts }, None);
            }
            let spoilt = match outcome.broken {
                None => afterwards(&mut programs, job, case, tls).await,
                Some(_) => None,
            };
            let waited = spoilt
                .as_ref()
                .map_or(outcome.waited, |(_, waited)| Some(*waited));
            let spoilt = spoilt.map(|(broken, _)| broken);
            let concluded = conclude(job, outcome, spoilt, waited, programs, tls, between).await;
            (concluded, waited)
        }
        Err(StartError::NotReady { why, log } | StartError::Refused { why, log }) => {
            let mut concluded = unjudged(Unjudged::NotReady(why));
            concluded.judged.log = log;
            (concluded, None)
        }
        Err(error) => (unjudged(Unjudged::Harness(error.to_string())), None),
    }
}

/// The timeout of a case that sets none, in seconds. It is longer than such a case waits.
pub(super) const DEFAULT_TIMEOUT: u64 = 30;

/// Examines the programs, stops them, and makes the verdict. `spoilt` is what the program no longer does after a case
/// whose steps all came true.
async fn conclude(
    job: &Job,
    mut outcome: Outcome,
    spoilt: Option<Broken>,
    waited: Option<Waited>,
    mut programs: Programs,
    tls: &Tls,
    between: Option<&mut Between>,
) -> Concluded {
    let steps = match (&outcome.broken, &spoilt) {
        (Some(broken), _) if broken.marks.is_empty() => Steps::PreparingBroken,
        (Some(_), _) => Steps::JudgingBroken,
        (None, Some(_)) => Steps::SpoiltAfterwards,
        (None, None) if outcome.remarks.is_empty() => Steps::Kept,
        (None, None) => Steps::Remarked,
    };
    let broken = outcome.broken.or(spoilt);
    let mut ended = ended(broken.is_some(), &mut programs).await;
    // A client that does not connect again ends with its control connection, and that is no crash.
    if job.subject.runs_once() && broken.is_none() {
        ended = None;
    }
    let mut hangs = None;
    if ended.is_none() && broken.is_some() && waited.is_some() {
        hangs = hang::find(job, &mut programs, outcome.left.take(), tls).await;
        ended = programs.ended();
    }
    let log = if broken.is_some() || ended.is_some() {
        programs.log_tail().await
    } else {
        String::new()
    };
    if let Some(between) = between {
        between.cease().await;
    }
    programs.stop().await;
    let facts = Facts {
        ended: ended.is_some(),
        hangs: hangs.is_some(),
        ..Facts::of(steps)
    };
    let judged = Judged {
        id: job.id(),
        file: job.entry.file.clone(),
        verdict: decide(facts),
        twin: None,
        reason: ended
            .map(Reason::Ended)
            .or_else(|| hangs.map(Reason::Hangs)),
        broken,
        remarks: outcome.remarks,
        judged_rules: outcome.judged_rules,
        listed: None,
        notes: Vec::new(),
        transcript: Some(outcome.transcript),
        heard: None,
        log,
        took: Duration::ZERO,
    };
    Concluded {
        judged,
        facts: Some(facts),
    }
}

/// The status with which one of the programs has ended by itself, if it has.
///
/// A program that crashes closes its connections before its end can be seen. So after a broken step the suite waits up
/// to [`GOING_DOWN`] for the end, so that the verdict is a crash.
async fn ended(is_broken: bool, programs: &mut Programs) -> Option<String> {
    let until = Instant::now() + GOING_DOWN;
    loop {
        let ended = programs.ended();
        if ended.is_some() || !is_broken || Instant::now() >= until {
            return ended;
        }
        sleep(END_POLL).await;
    }
}

type Played = Result<(Outcome, Programs), StartError>;

/// The timeout that the server must be configured with, in seconds.
fn timeout_of(case: &Case) -> u64 {
    let timeout = case.config.iter().find_map(|setting| match setting.value {
        Setting::Timeout(seconds) => Some(seconds),
        Setting::Verify | Setting::Trust | Setting::Maps { .. } | Setting::Map { .. } => None,
    });
    timeout.unwrap_or(DEFAULT_TIMEOUT)
}

async fn play_pair(
    job: &Job,
    case: &Case,
    (server, client): &(Manifest, Manifest),
    tls: &Tls,
    turn: Turn,
    between: Option<&mut Between>,
) -> Played {
    let services = Services::start(case).await?;
    let plan = PairPlan {
        between,
        server,
        client,
        transport: job.transport,
        timeout: timeout_of(case),
        mappings: services.mappings,
    };
    let mut pair = Box::new(Box::pin(Pair::start(plan, tls, job.tempo.scale())).await?);
    drop(turn);
    pair.hold(services.leases);
    let scene = Scene::Pair {
        pair: &mut pair,
        targets: services.targets,
        silent: services.silent,
    };
    let player = Player::new(scene, tls, job.tempo, services.vars)
        .with_nth_ports(services.nth)
        .standing_still(job.still)
        .telling(job.in_play.lines());
    let outcome = player.play(case).await;
    Ok((outcome, Programs::Pair(pair)))
}

async fn play_server(job: &Job, case: &Case, tls: &Tls, turn: Turn) -> Played {
    let timeout = timeout_of(case);
    let transports: Vec<Transport> = case.named_transports().chain([job.transport]).collect();
    let scale = job.tempo.scale();
    // A case of this rule judges the announced timeout itself.
    let judges = case
        .rules
        .value
        .iter()
        .any(|rule| rule == "auth.timeout-positive");
    let announced = match judges {
        true => Announced::ByCase,
        false => Announced::ByStart,
    };
    let mut instance =
        start_server(&job.subject, (timeout, announced), tls, scale, &transports).await?;
    drop(turn);
    let leases = [lease()?, lease()?, lease()?];
    let nth = nth_ports(case)?;
    let mut vars = with_login(ports(&leases), &instance);
    vars.insert("name".into(), unique_name("probe").into_bytes());
    vars.insert("timeout".into(), timeout.to_string().into_bytes());
    let control = instance
        .address(job.transport)
        .map_or_else(String::new, |address| address.port().to_string());
    vars.insert("control".into(), control.into_bytes());
    let scene = Scene::Server {
        instance: &instance,
        transport: job.transport,
    };
    let player = Player::new(scene, tls, job.tempo, vars)
        .with_nth_ports(numbers(&nth))
        .standing_still(job.still)
        .telling(job.in_play.lines());
    let outcome = player.play(case).await;
    instance.hold(leases.into_iter().chain(nth));
    Ok((outcome, Programs::One(Box::new(instance))))
}

async fn play_client(job: &Job, case: &Case, manifest: &Manifest, tls: &Tls, turn: Turn) -> Played {
    let trusts = case.config.iter().any(|one| one.value == Setting::Trust);
    let shown = match trusts {
        true => &tls.showing(Shown::Trusted),
        false => tls,
    };
    let (mut scene, vars, mut plan, (leases, nth)) = client_scene(case, job.transport).await?;
    plan.authority = trusts.then(|| tls.authority().to_owned());
    let mut instance = start_client(manifest, &plan).await?;
    instance.hold(leases);
    let instance = connected(instance, &mut scene, manifest, job.tempo.scale()).await?;
    drop(turn);
    let vars = with_login(vars, &instance);
    let player = Player::new(Scene::Client(scene), shown, job.tempo, vars)
        .with_nth_ports(nth)
        .standing_still(job.still)
        .telling(job.in_play.lines());
    let outcome = player.play(case).await;
    Ok((outcome, Programs::One(Box::new(instance))))
}

/// The permit to start programs, held until those of a case are ready.
type Turn = Option<SemaphorePermit<'static>>;

/// Waits until the programs of a job may start.
async fn turn(job: &Job) -> Turn {
    let deadline_ms = match &*job.subject {
        Subject::Started(manifest) => manifest.start_deadline_ms,
        Subject::Pair(pair) => pair.0.start_deadline_ms + pair.1.start_deadline_ms,
        Subject::Running(_) => return None,
    };
    let deadline = Duration::from_millis(deadline_ms).mul_f64(job.tempo.scale());
    starts::turn(job.tempo.effort(), deadline).await
}

/// Waits until a client has connected: then it is ready.
///
/// # Errors
/// [`StartError::NotReady`] if it has not connected within the start deadline of its manifest.
pub(super) async fn connected(
    mut instance: Instance,
    scene: &mut ClientScene,
    manifest: &Manifest,
    scale: f64,
) -> Result<Instance, StartError> {
    let limit = Duration::from_millis(manifest.start_deadline_ms).mul_f64(scale);
    if scene.server.visited(limit).await {
        return Ok(instance);
    }
    let ended = instance
        .ended()
        .map_or_else(String::new, |status| format!("; it ended: {status}"));
    let log = instance.log_tail().await;
    instance.stop().await;
    let limit = limit.as_secs_f64();
    Err(StartError::NotReady {
        why: format!("it has not connected within {limit} s{ended}"),
        log,
    })
}

pub(super) type Vars = BTreeMap<String, Vec<u8>>;

pub(super) async fn client_scene(
    case: &Case,
    transport: Transport,
) -> Result<(ClientScene, Vars, ClientPlan, (Vec<Lease>, Vec<u16>)), StartError> {
    let mut services = Services::start(case).await?;
    services.vars.insert("token".into(), TOKEN.into());
    let control = lease()?;
    let server = Listener::bind(control.port())
        .await
        .map_err(cannot_listen)?;
    services.leases.push(control);
    let plan = ClientPlan {
        server: server.address,
        transport,
        verify: case
            .config
            .iter()
            .any(|one| matches!(one.value, Setting::Verify | Setting::Trust)),
        authority: None,
        mappings: services.mappings.clone(),
    };
    let scene = ClientScene {
        server,
        targets: services.targets,
        silent: services.silent,
        transport,
        mappings: services.mappings,
    };
    Ok((scene, services.vars, plan, (services.leases, services.nth)))
}

/// The targets of a client, and the ports and variables of its case.
struct Services {
    targets: BTreeMap<SocketAddr, Listener>,
    /// The target that never answers. It lives as long as the case.
    silent: Option<Box<SilentTarget>>,
    /// Remote port, target, isOpen.
    mappings: Vec<(u16, SocketAddr, bool)>,
    vars: Vars,
    leases: Vec<Lease>,
    /// The value of `$nth_port` in each turn of a block.
    nth: Vec<u16>,
}

impl Services {
    async fn start(case: &Case) -> Result<Self, StartError> {
        let mut leases = vec![lease()?, lease()?, lease()?];
        let mut vars = ports(&leases);
        let settings = || case.config.iter().map(|setting| &setting.value);
        let mut targets = BTreeMap::new();
        let mut addresses = BTreeMap::new();
        let mut silent = None;
        for name in TARGETS {
            let lease = lease()?;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, lease.port()));
            vars.insert(name.into(), address.to_string().into_bytes());
            addresses.insert(name, address);
            match name {
                "dead_target" => {}
                // Its queue has to be filled, which takes time, so only a case that needs it has one.
                "silent_target" if settings().any(|one| leads_to(one, name)) => {
                    let bound = SilentTarget::bind(lease.port())
                        .await
                        .map_err(cannot_listen)?;
                    silent = Some(Box::new(bound));
                }
                "silent_target" => {}
                _ => {
                    let listener = Listener::bind(lease.port()).await.map_err(cannot_listen)?;
                    targets.insert(address, listener);
                }
            }
            leases.push(lease);
        }
        let nth = nth_ports(case)?;
        let numbers = numbers(&nth);
        let mut mappings = Vec::new();
        for setting in settings() {
            let target = addresses.iter().find(|(name, _)| leads_to(setting, name));
            match (setting, target) {
                (Setting::Map { port, open, .. }, Some((_, target))) => {
                    let named = PORTS.iter().position(|name| names(port, name));
                    let named = named.map(|port| leases[port].port());
                    let port = named.or_else(|| number_of(port));
                    mappings.extend(port.map(|port| (port, *target, *open)));
                }
                (Setting::Maps { count, .. }, Some((_, target))) => {
                    let ports = numbers.iter().zip(0..*count);
                    mappings.extend(ports.map(|(port, _)| (*port, *target, true)));
                }
                _ => {}
            }
        }
        leases.extend(nth);
        Ok(Self {
            targets,
            silent,
            nth: numbers,
            mappings,
            vars,
            leases,
        })
    }
}

fn cannot_listen(error: std::io::Error) -> StartError {
    StartError::Harness(format!("cannot listen: {error}"))
}

/// A token with unusual characters, because a client has to treat it as opaque.
const TOKEN: &str = "5f0c2a=Tok/en 7~b1";

/// Leases of the ports for `$nth_port`, none if the case does not use it.
fn nth_ports(case: &Case) -> Result<Vec<Lease>, StartError> {
    (0..nth_count(case)).map(|_| lease()).collect()
}

/// How many ports a case needs for `$nth_port`.
pub(super) fn nth_count(case: &Case) -> u32 {
    let names = |template: &&Template| template.names("nth_port");
    let mentions =
        |line: &Line| matches!(line, Line::Step(step) if step.action.templates().iter().any(names));
    let blocks = case.body.iter().map(|line| match line {
        Line::Repeat(block) if block.body.iter().any(mentions) => block.count,
        Line::Repeat(_) | Line::Step(_) | Line::Blank | Line::Comment(_) => 0,
    });
    let configured = case.config.iter().map(|setting| match setting.value {
        Setting::Maps { count, .. } => count,
        Setting::Map { .. } | Setting::Timeout(_) | Setting::Verify | Setting::Trust => 0,
    });
    blocks.chain(configured).max().unwrap_or(0)
}

fn numbers(leases: &[Lease]) -> Vec<u16> {
    leases.iter().map(Lease::port).collect()
}

/// Whether a setting maps a port to the target of this name.
pub(super) fn leads_to(setting: &Setting, name: &str) -> bool {
    match setting {
        Setting::Map { target, .. } | Setting::Maps { target, .. } => names(target, name),
        Setting::Timeout(_) | Setting::Verify | Setting::Trust => false,
    }
}

fn names(template: &Template, name: &str) -> bool {
    matches!(template.pieces(), [Piece::Var(var)] if var == name)
}

fn lease() -> Result<Lease, StartError> {
    Lease::take().map_err(|error| StartError::Harness(error.to_string()))
}

fn ports(leases: &[Lease]) -> Vars {
    let pairs = PORTS.iter().zip(leases);
    pairs
        .map(|(name, lease)| ((*name).to_owned(), lease.port().to_string().into_bytes()))
        .collect()
}

pub(super) fn with_login(mut vars: Vars, instance: &Instance) -> Vars {
    vars.insert("username".into(), instance.username.clone().into_bytes());
    vars.insert("password".into(), instance.password.clone().into_bytes());
    vars
}
