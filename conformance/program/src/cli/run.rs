//! `run`: judges a server or a client.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueEnum;
use netroxy_judge::run::Shard;
use netroxy_judge::shell::quoted;
use netroxy_judge::sut::{Running, Subject};
use netroxy_specification::notation::ast::{Role, Side};
use netroxy_specification::rules::Rule;

use super::baseline::load;
use super::select::{chosen, from_files, role_of};
use super::session::{Conduct, Round, judge_all};
use super::{Complaint, EXIT_CODES, EXIT_USAGE, Output, Pace, role};
use crate::baseline::ProfileName;

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Run {
    /// `server`, `client` or `pair`: who is judged; the manifest says it too. Then cases, rules, folders of cases or
    /// areas of rules, patterns with `*` as well; all when there are none
    #[arg(value_name = "[ROLE] ID")]
    words: Vec<String>,
    /// Manifest file, or the name of a built-in one; the embedded reference when not given
    #[arg(long, value_name = "FILE", conflicts_with = "addr")]
    sut: Option<String>,
    /// Role pair: the server, as --sut
    #[arg(long, value_name = "FILE")]
    server: Option<String>,
    /// Role pair: the client, as --sut
    #[arg(long, value_name = "FILE")]
    client: Option<String>,
    /// A server that is running already, HOST:PORT
    #[arg(long, value_name = "HOST:PORT", requires = "user", requires = "pass")]
    addr: Option<String>,
    /// Its TLS port
    #[arg(long, value_name = "HOST:PORT", requires = "addr")]
    tls_addr: Option<String>,
    /// Its user name
    #[arg(long, requires = "addr")]
    user: Option<String>,
    /// Its password
    #[arg(long, requires = "addr")]
    pass: Option<String>,
    /// Which rules count
    #[arg(long, value_enum, default_value_t)]
    profile: Profile,
    /// Fail also what is allowed but not recommended
    #[arg(long)]
    strict: bool,
    /// A case file of your own; may be given several times
    #[arg(long, value_name = "FILE", conflicts_with = "baseline")]
    case_file: Vec<String>,
    /// What is known to fail: a file, or the name of a built-in baseline
    #[arg(long, value_name = "FILE")]
    baseline: Option<String>,
    /// Play one of N parts of the run that take about equally long; `report merge` makes one report of theirs
    #[arg(long, value_name = "K/N", value_parser = Shard::parse)]
    shard: Option<Shard>,
    /// Record all that each case sends and receives, passwords too: DIR/ID.recording
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    #[command(flatten)]
    pace: Pace,
    #[command(flatten)]
    output: Output,
}

/// The same default for every command.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Profile {
    /// What peers need to work together, and what would corrupt data
    #[default]
    Wire,
    /// Every rule
    Hardened,
}

pub(super) async fn execute(run: &Run, rules: &[Rule]) -> Result<u8, Complaint> {
    let (named, ids) = role::split(&run.words);
    if let (Some(id), [_, ..]) = (ids.first(), &run.case_file[..]) {
        let message = format!("--case-file names the cases, and so does `{id}`");
        return Err(Complaint::new(EXIT_USAGE, message).hint("leave one of them out"));
    }
    if let (Some(_), true, None) = (run.shard, run.pace.shuffle, run.pace.seed) {
        let complaint = Complaint::new(
            EXIT_USAGE,
            "every part of a run would be shuffled in another way",
        );
        return Err(complaint.hint("give each part the same --seed N"));
    }
    let subject = subject(run, named, ids)?;
    let role = subject.role();
    let told = run.names_a_subject().then_some(&subject);
    let entries = match run.case_file.is_empty() {
        true => chosen(role, ids, told)?,
        false => from_files(&run.case_file, role, told)?,
    };
    let subject = Arc::new(subject);
    let options = run.pace.options(run.profile == Profile::Hardened);
    let profile = ProfileName::new(options.hardened);
    let baseline = run.baseline.as_deref();
    let baseline = baseline.map(|file| load(file, &subject, Some(profile), rules));
    let conduct = Conduct {
        order: run.pace.order()?,
        strict: run.strict,
        slowest: run.pace.slowest,
        output: run.output.clone(),
        shard: run.shard,
        record: run.record.clone(),
        baseline: baseline.transpose()?,
        ..Conduct::default()
    };
    let round = Round {
        entries,
        subject,
        wanted: ids.to_vec(),
    };
    let done = judge_all(rules, vec![round], options, conduct).await?;
    Ok(done.code)
}

impl Run {
    /// Whether anything but the embedded reference is to be judged.
    fn names_a_subject(&self) -> bool {
        let files = [&self.sut, &self.server, &self.client, &self.addr];
        files.into_iter().any(Option::is_some)
    }
}

/// What is judged: the role is that which is named, else that of what is given.
fn subject(run: &Run, named: Option<Role>, ids: &[String]) -> Result<Subject, Complaint> {
    let pair_file = run.server.as_ref().or(run.client.as_ref());
    let side = match (named, &run.sut, &run.addr, pair_file) {
        (Some(Role::Pair), ..) | (None, None, None, Some(_)) => return pair(run),
        (Some(Role::Server), ..) | (None, _, Some(_), _) => Some(Side::Server),
        (Some(Role::Client), ..) => Some(Side::Client),
        (None, ..) => None,
    };
    if let Some(file) = pair_file {
        let (flag, role) = match run.server {
            Some(_) => ("--server", side.unwrap_or(Side::Server)),
            None => ("--client", side.unwrap_or(Side::Client)),
        };
        let message = format!("{flag} is for the role pair, and a {role} is to be judged");
        return Err(Complaint::new(EXIT_USAGE, message).hint(format!("use --sut {}", quoted(file))));
    }
    if let Some(addr) = &run.addr {
        if side == Some(Side::Client) {
            let complaint = Complaint::new(
                EXIT_USAGE,
                "--addr names a running server, and a client is to be judged",
            );
            return Err(complaint.hint("a client is started through a manifest: --sut FILE"));
        }
        return running(addr, run.tls_addr.as_deref(), [&run.user, &run.pass]);
    }
    if let Some(file) = &run.sut {
        return Ok(Subject::Started(role::manifest(
            file,
            side.map(Role::from),
        )?));
    }
    let role = match (side, run.case_file.first()) {
        (Some(side), _) => Some(side.into()),
        (None, Some(file)) => Some(role_of(file)?),
        (None, None) => role::of_ids(ids),
    };
    let side = match role.ok_or_else(|| role::unknown("run", ids))? {
        Role::Server => Side::Server,
        Role::Client => Side::Client,
        Role::Pair => return pair(run),
    };
    Ok(Subject::Started(role::manifest_or_reference(None, side)?))
}

/// A server that somebody else has started, with its user name and its password.
pub(super) fn running(
    addr: &str,
    tls: Option<&str>,
    login: [&Option<String>; 2],
) -> Result<Subject, Complaint> {
    let [username, password] = login.map(|word| word.clone().unwrap_or_default());
    Ok(Subject::Running(Running {
        plain: address(addr)?,
        tls: tls.map(address).transpose()?,
        username,
        password,
    }))
}

fn pair(run: &Run) -> Result<Subject, Complaint> {
    if run.sut.is_some() || run.addr.is_some() {
        let complaint = Complaint::new(EXIT_USAGE, "a pair is two programs");
        return Err(complaint.hint("name them by --server FILE and --client FILE"));
    }
    Ok(Subject::Pair(Box::new((
        role::manifest_or_reference(run.server.as_deref(), Side::Server)?,
        role::manifest_or_reference(run.client.as_deref(), Side::Client)?,
    ))))
}

pub(super) fn address(text: &str) -> Result<SocketAddr, Complaint> {
    let wrong = |why: &str| {
        let complaint = Complaint::new(EXIT_USAGE, format!("`{text}` is no HOST:PORT: {why}"));
        complaint.hint("for example 127.0.0.1:10000, [::1]:10000 or localhost:10000")
    };
    let (host, port) = text
        .rsplit_once(':')
        .ok_or_else(|| wrong("the port is missing"))?;
    if host.is_empty() {
        return Err(wrong("the host is missing"));
    }
    if !matches!(port.parse::<u16>(), Ok(1..)) {
        return Err(wrong(&format!(
            "`{port}` is no port, a number from 1 to 65535"
        )));
    }
    let mut found = text
        .to_socket_addrs()
        .map_err(|error| wrong(&format!("`{host}` cannot be found: {error}")))?;
    found
        .next()
        .ok_or_else(|| wrong(&format!("`{host}` has no address")))
}
