//! The result of one case: its verdict, its reason, its transcript, and whether it was late.

use std::io;

use netroxy_specification::notation::ast::Side;

use super::*;
use crate::manifest::Manifest;
use crate::peers;
use crate::transcript::{Direction, Line as Told};

const LOGIN: &str = "ctl   > ATH a u p\nctl   < ARS true _ _\n";

fn at(plain: SocketAddr) -> Arc<Subject> {
    let running = Running {
        plain,
        tls: None,
        username: "u".into(),
        password: "p".into(),
    };
    Arc::new(Subject::Running(running))
}

fn job(subject: Arc<Subject>, role: &str, body: &str) -> Job {
    let text = format!("title    x\nrole     {role}\nrules    keep.srs\n{body}");
    Job {
        entry: Arc::new(read("own", "own.case", &text).unwrap()),
        transport: Transport::Plain,
        subject,
        skip: None,
        tempo: Tempo::new(1.0),
        still: STILL,
        round: None,
        in_play: InPlay::default(),
        listens: false,
        excused: true,
    }
}

async fn judged(job: &Job) -> Judged {
    let tls = Tls::new().unwrap();
    judge::judge(job, &tls, &Twins::default()).await.0
}

fn server(subject: Arc<Subject>, body: &str) -> Job {
    job(
        subject,
        "server",
        &format!("\nctl   connect server\n{body}"),
    )
}

fn reference(side: Side) -> Manifest {
    peers::reference(side).unwrap()
}

fn told(judged: &Judged) -> Vec<Told> {
    let transcript = judged.transcript.iter();
    transcript.flat_map(|one| one.lines()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_login_silence_is_proved_on_the_same_connection() {
    let agreeing = at(fake(Behaviour::AgreesToAll, true).await);
    let silence = "ctl   < silence  [keep.srs]\n";
    let judged = judged(&server(agreeing, &format!("{LOGIN}{silence}"))).await;
    assert_eq!(judged.verdict, Verdict::Pass);
    let fence = told(&judged);
    let fence: Vec<_> = fence
        .iter()
        .filter(|line| line.note.as_deref() == Some("fence"))
        .map(|line| (line.actor.as_str(), line.text.as_str()))
        .collect();
    assert_eq!(fence, [("ctl", "> SRQ"), ("ctl", "< SRS")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_nonstrict_alternative_gives_a_remark() {
    let agreeing = at(fake(Behaviour::AgreesToAll, true).await);
    for (grades, verdict) in [
        (["nonstrict", "pass"], Verdict::Nonstrict),
        (["pass", "nonstrict"], Verdict::Pass),
    ] {
        let [srs, closed] = grades;
        let body = format!(
            "ctl   > SRQ\nctl   < one of  [keep.srs]\n        SRS  {srs}\n        closed  {closed}\n"
        );
        let judged = judged(&server(Arc::clone(&agreeing), &body)).await;
        assert_eq!(judged.verdict, verdict);
        let remarks: Vec<_> = judged.remarks.iter().map(|one| one.seen.as_str()).collect();
        match verdict {
            Verdict::Pass => assert_eq!(remarks, [""; 0]),
            _ => assert_eq!(remarks, ["ctl < SRS"]),
        }
        assert_eq!(judged.judged_rules, ["keep.srs".to_owned()].into());
        assert_eq!(
            (judged.id.as_str(), judged.file.as_str()),
            ("own", "own.case")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_whose_twin_fails_has_the_verdict_of_the_twin() {
    let closing = at(fake(Behaviour::ClosesAtOnce, true).await);
    let mut with_twin = server(
        Arc::clone(&closing),
        "ctl   > SRQ\nctl   < closed  [keep.srs]\n",
    );
    let twin = server(closing, "ctl   > SRQ\nctl   < SRS  [keep.srs]\n");
    let entry = Entry {
        twin: Some(("the twin".to_owned(), Arc::new(twin.entry.case.clone()))),
        ..Entry::clone(&with_twin.entry)
    };
    with_twin.entry = Arc::new(entry);
    let judged = judged(&with_twin).await;
    assert_eq!(judged.verdict, Verdict::Fail);
    assert_eq!(
        (judged.id.as_str(), judged.file.as_str()),
        ("own", "own.case")
    );
    assert_eq!(judged.twin.as_deref(), Some("the twin"));
    let reason = "it proves nothing, because its twin the twin does not succeed";
    assert_eq!(judged.why(), reason);
    // The twin broke no rule for this case.
    assert!(judged.broken.unwrap().marks.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_late_step_that_did_not_pass_counts_as_late() {
    let agreeing = at(fake(Behaviour::AgreesToAll, true).await);
    let waited = async |body: &str| {
        let case = server(Arc::clone(&agreeing), body);
        let tls = Tls::new().unwrap();
        let (judged, waited) = judge::judge(&case, &tls, &Twins::default()).await;
        (judged.verdict, waited.map(|waited| waited.bounded))
    };
    let late = |grade: &str| {
        let bound = "ctl   < one of  in ..0.1s  [keep.srs]\n        closed  pass\n";
        format!("{LOGIN}{bound}        silence  {grade}\n")
    };
    let nonstrict = waited(&late("nonstrict")).await;
    assert_eq!(nonstrict, (Verdict::Nonstrict, Some(true)));
    assert_eq!(waited(&late("pass")).await, (Verdict::Pass, None));
    let wrong = format!("{LOGIN}ctl   > SRQ\nctl   < ARS false  [keep.srs]\n");
    assert_eq!(waited(&wrong).await, (Verdict::Fail, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_results_of_two_cases_with_one_twin_have_their_own_files() {
    let closing = at(fake(Behaviour::ClosesAtOnce, true).await);
    let closes = "ctl   > SRQ\nctl   < closed  [keep.srs]\n";
    let answers = "ctl   > SRQ\nctl   < SRS  [keep.srs]\n";
    let twin = Arc::new(server(Arc::clone(&closing), answers).entry.case.clone());
    let (tls, twins) = (Tls::new().unwrap(), Twins::default());
    for file in ["one.case", "two.case"] {
        let case = server(Arc::clone(&closing), closes);
        let entry = Entry {
            file: file.to_owned(),
            twin: Some(("the twin".to_owned(), Arc::clone(&twin))),
            ..Entry::clone(&case.entry)
        };
        let case = Job {
            entry: Arc::new(entry),
            ..case
        };
        let (judged, _) = judge::judge(&case, &tls, &twins).await;
        let told = (judged.verdict, judged.file.as_str());
        assert_eq!(told, (Verdict::Fail, file));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_with_a_lower_bound_waits_beyond_that_bound() {
    let subject = at(fake(Behaviour::SendsMoreLater, true).await);
    let bound = "ctl   > SRQ\nctl   << \"SRS\\n\"\nctl   << \"X\"  in 0.03s..  [keep.srs]\n";
    let adds = server(
        subject,
        &format!("ctl   > ATH a u p\nctl   << \"ARS\\ntrue\\n30\\ntoken\\nX\"\n{bound}"),
    );
    let judged = judged(&adds).await;
    assert_eq!(judged.verdict, Verdict::Pass, "{judged:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transcript_shows_who_acted_and_which_step_broke() {
    let agreeing = at(fake(Behaviour::AgreesToAll, true).await);
    let wrong = "ctl   ignore SRS\nctl   > SRQ\nctl   < closed  in ..0.1s  [keep.srs]\n";
    let judged = judged(&server(agreeing, &format!("{LOGIN}{wrong}"))).await;
    let told = told(&judged);
    let seen: Vec<_> = told
        .iter()
        .map(|line| (line.direction, line.text.as_str(), line.broken))
        .collect();
    let (sent, received) = (Some(Direction::Sent), Some(Direction::Received));
    let expected = [
        (sent, "connect server", false),
        (sent, "> ATH a u p", false),
        (received, "< ARS true 30 token", false),
        (None, "ignore SRS", false),
        (sent, "> SRQ", false),
        (received, "< SRS", false),
        (received, "< closed  in ..0.1s", true),
    ];
    assert_eq!(seen, expected);
    assert_eq!(told[6].rules, ["keep.srs"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_bytes_are_shown_after_the_broken_step() {
    let agreeing = at(fake(Behaviour::AgreesToAll, true).await);
    for (sent, unread) in [("SRQ", "< SRS"), ("SRQ\\nSRQ", "<< \"SRS\\nSRS\\n\"")] {
        let wrong = format!("ctl   >> \"{sent}\\n\"\nctl   < closed  [keep.srs]\n");
        let judged = judged(&server(Arc::clone(&agreeing), &format!("{LOGIN}{wrong}"))).await;
        let told = told(&judged);
        let [.., broken, left] = &told[..] else {
            panic!("{told:?}");
        };
        assert!(broken.broken && !left.broken, "{told:?}");
        assert_eq!(left.text, unread);
        assert_eq!(left.note.as_deref(), Some("no step has read this"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reset_sends_an_rst_and_close_sends_a_fin() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let subject = at(listener.local_addr().unwrap());
    let ends = tokio::spawn(async move {
        let mut ends = Vec::new();
        while ends.len() < 2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 1000];
            match stream.read(&mut buffer).await {
                // The readiness login.
                Ok(1..) => stream.write_all(b"ARS\ntrue\n30\nx\n").await.unwrap(),
                end => ends.push(end.map_err(|error| error.kind())),
            }
        }
        ends
    });
    let body = "ctl   > reset\ntwo   connect server\ntwo   > close\nnone  refused 1  [keep.srs]\n";
    judged(&server(subject, body)).await;
    let reset = Err(io::ErrorKind::ConnectionReset);
    assert_eq!(ends.await.unwrap(), [reset, Ok(0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_round_trips_are_measured_before_the_first_case() {
    let (tls, both) = (
        Tls::new().unwrap(),
        [Side::Server, Side::Client].map(reference),
    );
    let [server, client] = both;
    let subjects = [
        Subject::Started(server.clone()),
        Subject::Pair(Box::new((server, client))),
    ];
    for subject in subjects {
        let ready = preflight(&subject, &tls, 1.0).await.unwrap();
        let counts: Vec<_> = ready
            .trips
            .iter()
            .map(|(_, trips)| trips.all().len())
            .collect();
        assert_eq!(counts, [20, 20]);
        assert_eq!(ready.all_trips().all().len(), 40);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dead_target_refuses_and_a_silent_one_exists_only_if_used() {
    let client = Arc::new(Subject::Started(reference(Side::Client)));
    for silent in [true, false] {
        let target = if silent { "silent_target" } else { "target" };
        let case = job(
            Arc::clone(&client),
            "client",
            &format!("config   map $port -> ${target}\n\nctl   accept  [keep.srs]\n"),
        );
        let scene = judge::client_scene(&case.entry.case, Transport::Plain).await;
        let (scene, vars, ..) = scene.unwrap();
        assert_eq!(scene.silent.is_some(), silent);
        let dead = String::from_utf8(vars["dead_target"].clone()).unwrap();
        let refused = TcpStream::connect(&dead).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let named = |name: &str| {
            String::from_utf8(vars[name].clone())
                .unwrap()
                .parse()
                .unwrap()
        };
        assert!(scene.targets.contains_key(&named("target")));
        assert!(!scene.targets.contains_key(&named("dead_target")));
    }
}

#[test]
fn each_reason_to_skip_a_case_has_its_text() {
    let subject = at(SocketAddr::from(([127, 0, 0, 1], 9)));
    let rules = rules::embedded().unwrap();
    let reason = |hardened, transport, case: &str| {
        let options = Options {
            hardened,
            jobs: 1,
            time_scale: 1.0,
            still: None,
        };
        let text = format!("title    x\nrole     server\n{case}");
        let entry = read("own", "own.case", &text).unwrap();
        reason_to_skip(&entry, transport, &subject, &rules, options)
            .map_or_else(String::new, |skip| skip.to_string())
    };
    let (plain, tls) = (Transport::Plain, Transport::Tls);
    let wire = "rules    keep.srs\n\nctl   connect server\nctl   < closed  [keep.srs]\n";
    assert_eq!(reason(false, plain, wire), "");
    assert_eq!(reason(true, plain, wire), "");
    let no_address = "no tls address was given (--tls-addr)";
    assert_eq!(reason(true, tls, wire), no_address);
    let named = wire.replace("connect server", "connect server tls");
    assert_eq!(reason(true, plain, &named), no_address);
    let own = wire.replace("keep.srs\n\n", "keep.srs\nconfig   timeout 3\n\n");
    let why = "it needs a configuration of its own, and the server is running already";
    assert_eq!(reason(true, plain, &own), why);
    let started = |timeout: u32| {
        let options = Options {
            hardened: true,
            jobs: 1,
            time_scale: 1.0,
            still: None,
        };
        let head = format!("title    x\nrole     server\n{own}");
        let text = head.replace("timeout 3", &format!("timeout {timeout}"));
        let entry = read("own", "own.case", &text).unwrap();
        let mut manifest = reference(Side::Server);
        manifest.timeouts = 3..=60;
        let subject = Subject::Started(manifest);
        reason_to_skip(&entry, plain, &subject, &rules, options)
            .map_or_else(String::new, |skip| skip.to_string())
    };
    assert_eq!((started(3), started(60)), (String::new(), String::new()));
    let why = "it needs a timeout of 2 s, and the manifest takes 3 to 60 s";
    assert_eq!(started(2), why);
    assert_ne!(started(61), "");
    let beyond = wire.replace("keep.srs", "frame.line-bound");
    assert_eq!(reason(true, plain, &beyond), "");
    let why = "frame.line-bound is judged by --profile hardened only";
    assert_eq!(reason(false, plain, &beyond), why);
}

#[test]
fn a_stall_excuses_a_late_step_only_above_its_threshold() {
    let (now, ms) = (Instant::now(), Duration::from_millis);
    let waited = |bounded| Waited {
        from: now,
        until: now + ms(1000),
        bounded,
    };
    let tempo = Tempo::new(1.0);
    let stalled = |length, bounded| {
        let watch = Watch::fixed(now, now + length);
        excuse(&watch, waited(bounded), tempo)
    };
    assert_eq!(stalled(ms(50), true), None);
    assert_eq!(stalled(ms(51), true), Some(ms(51)));
    assert_eq!(stalled(ms(500), false), None);
    assert_eq!(stalled(ms(501), false), Some(ms(501)));
    let pressed = |length, bounded| {
        let watch = Watch::fixed(now, now).pressed(now + ms(500), length);
        excuse(&watch, waited(bounded), tempo)
    };
    assert_eq!(pressed(ms(250), true), None);
    assert_eq!(pressed(ms(251), true), Some(ms(251)));
    assert_eq!(pressed(ms(500), false), None);
    assert_eq!(pressed(ms(501), false), Some(ms(501)));
}

/// The peer need not listen on a port that is not open. If it does, the user must get no byte.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_or_a_close_without_a_byte_turns_a_user_away() {
    let step = |port: &str| format!("u     turned away {port}  [keep.srs]\n");
    for (behaviour, port, verdict, got) in [
        // No program listens on this port.
        (Behaviour::AgreesToAll, "$port", Verdict::Pass, ""),
        (Behaviour::ClosesAtOnce, "$control \"x\"", Verdict::Pass, ""),
        (Behaviour::Resets, "$control \"x\"", Verdict::Pass, ""),
        (
            Behaviour::Echoes,
            "$control \"x\"",
            Verdict::Fail,
            "<< \"x\"",
        ),
        (
            Behaviour::NeverAnswers,
            "$control \"x\"",
            Verdict::Fail,
            "the connection is open",
        ),
        (
            Behaviour::HalfCloses,
            "$control \"x\"",
            Verdict::Fail,
            "ended its own direction only",
        ),
    ] {
        let body = format!("\n{}", step(port));
        let judged = judged(&job(at(fake(behaviour, true).await), "server", &body)).await;
        assert_eq!(judged.verdict, verdict, "{port} {got}: {:?}", judged.broken);
        let seen = judged
            .broken
            .map_or_else(String::new, |broken| broken.got.to_string());
        assert!(seen.contains(got), "{port}: {seen}");
    }
}
