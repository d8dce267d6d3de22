//! Checks a subject for faults that would make a run useless. Nothing is judged.

use std::sync::Arc;

use netroxy_specification::catalog::{Entry, Origin};
use netroxy_specification::notation::ast::{Role, Transport};
use netroxy_specification::notation::parse;

use super::canary::Ready;
use super::job::{Job, Options, plan};
use super::judge::stage;
use super::summary::Start;
use crate::player::Broken;
use crate::run::Order;
use crate::sut::{StartError, Subject};
use crate::wire::Tls;

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It works.
    Good(String),
    /// Some cases will fail because of it, maybe wrongly.
    Warning(String),
    /// A run against the subject is useless.
    Fault(String),
}

/// A session that is played, and the texts about its result.
struct Probe {
    /// The settings and the steps of the session.
    case: &'static str,
    good: &'static str,
    bad: &'static str,
    /// The beginning of a broken step, and what the user should check.
    causes: &'static [(&'static str, &'static str)],
    /// Whether a run is useless without it.
    needed: bool,
    /// Whether it is played only over TLS.
    tls: bool,
}

/// Checks a subject that has passed [`preflight`](super::preflight). Pairs are not checked.
///
/// # Errors
/// If it can no longer be started.
pub async fn probe(
    subject: &Arc<Subject>,
    ready: &Ready,
    tls: &Tls,
    time_scale: f64,
) -> Result<Vec<Found>, StartError> {
    let (role, probes) = match subject.role() {
        Role::Server => ("server", SERVER),
        Role::Client => ("client", CLIENT),
        Role::Pair => return Ok(Vec::new()),
    };
    let tempo = Start::new(ready, time_scale, Order::default()).tempo;
    let mut found = Vec::new();
    for probe in probes {
        let spoken = match probe.tls {
            true => vec![Transport::Tls],
            false => Transport::ALL.to_vec(),
        };
        let Some(transport) = spoken.into_iter().find(|one| subject.speaks(*one)) else {
            continue;
        };
        let job = Job {
            tempo,
            ..job(role, probe, transport, subject, time_scale)?
        };
        let (outcome, programs) = stage(&job, tls).await?;
        programs.stop().await;
        found.push(probe.found(outcome.broken.as_ref()));
    }
    Ok(found)
}

fn job(
    role: &str,
    probe: &Probe,
    transport: Transport,
    subject: &Arc<Subject>,
    time_scale: f64,
) -> Result<Job, StartError> {
    let harness = |why: String| StartError::Harness(format!("the suite has no such look: {why}"));
    let head = format!("title    a look\nrole     {role}\nrules    auth.first\n");
    let text = format!(
        "{head}{}",
        probe.case.replace("TRANSPORT", &transport.to_string())
    );
    let entry = Entry {
        id: "sut-check".to_owned(),
        file: "sut-check".to_owned(),
        case: parse(&text).map_err(|error| harness(error.to_string()))?,
        text,
        twin: None,
        origin: Origin::File,
    };
    let options = Options {
        hardened: true,
        jobs: 1,
        time_scale,
        still: None,
    };
    let jobs = plan(&[Arc::new(entry)], subject, &[], options);
    jobs.into_iter()
        .next()
        .ok_or_else(|| harness("it is for another role".to_owned()))
}

impl Probe {
    fn found(&self, broken: Option<&Broken>) -> Found {
        let Some(broken) = broken else {
            return Found::Good(self.good.to_owned());
        };
        let step = broken.expected.to_string();
        let step = step.split_whitespace();
        let step = step.collect::<Vec<_>>().join(" ");
        let cause = self
            .causes
            .iter()
            .find(|(begin, _)| step.starts_with(begin));
        let cause = cause.map_or_else(String::new, |(_, cause)| format!("; {cause}"));
        let text = format!("{}: expected {step}, got {}{cause}", self.bad, broken.got);
        match self.needed {
            true => Found::Fault(text),
            false => Found::Warning(text),
        }
    }
}

const SERVER: &[Probe] = &[
    Probe {
        case: "over     TRANSPORT\n\n\
            ctl   connect server\n\
            ctl   > ATH $name $username $password\n\
            ctl   < ARS true _ _\n\
            ctl   > MAP $port 127.0.0.1:9 true\n\
            ctl   < MRS $port true\n\
            user  connect $port\n\
            ctl   < TRQ $port\n",
        good: "mappings: a free port is opened at 127.0.0.1, and a user who connects is announced",
        bad: "mappings do not work",
        causes: &[
            (
                "ctl < MRS",
                "the port is free; where it is refused: may the program bind it, and does its configuration allow it?",
            ),
            ("user connect", "remote ports have to be open at 127.0.0.1"),
        ],
        needed: true,
        tls: false,
    },
    Probe {
        case: "over     TRANSPORT\n\n\
            ctl   connect server\n\
            ctl   > ATH $name $username \"not-$password\"\n\
            ctl   < ARS false\n\
            ctl   < closed\n",
        good: "a wrong password: refused and closed",
        bad: "a wrong password is not refused and closed",
        causes: &[(
            "ctl < ARS",
            "are {{user}} and {{pass}} where the program reads its user name and password?",
        )],
        needed: false,
        tls: false,
    },
];

const CLIENT: &[Probe] = &[
    Probe {
        case: "config   map $port -> $target\nover     TRANSPORT\n\n\
            ctl   accept\n\
            ctl   < ATH _ $username $password\n\
            ctl   > ARS true 30 $token\n\
            ctl   < MAP $port $target true\n\
            ctl   > MRS $port true\n\
            ctl   < silence  in 0.1s..\n\
            ctl   > TRQ $port\n\
            tun   accept\n\
            tun   < TRS $token $port\n\
            tgt   accept $target\n",
        good: "mappings: asked for, and a user reaches the target",
        bad: "mappings do not work",
        causes: &[
            (
                "ctl < MAP",
                "is there {\"each\": \"mapping\", \"item\": ...} with {{remote_port}}, {{target_host}}, \
                 {{target_port}} and {{open}} in the configuration?",
            ),
            (
                "tgt accept",
                "are {{target_host}} and {{target_port}} where the program reads its targets?",
            ),
        ],
        needed: true,
        tls: false,
    },
    Probe {
        case: "config   map $port -> $target\nover     TRANSPORT\n\n\
            ctl   accept\n\
            ctl   < ATH _ $username $password\n\
            ctl   > ARS false\n\
            ctl   < closed\n\
            two   accept  in ..8s\n",
        good: "a refused login: it closes and connects again",
        bad: "a refused login does not make it close and connect again",
        causes: &[],
        needed: false,
        tls: false,
    },
    Probe {
        case: "config   map $port -> $target\nconfig   verify\nover     TRANSPORT\n\n\
            ctl   distrusts\n",
        good: "verification: a certificate that is not trusted is refused",
        bad: "verification does not work",
        causes: &[(
            "ctl distrusts",
            "is {{verify}} where the program reads whether it verifies?",
        )],
        needed: false,
        tls: true,
    },
];

#[cfg(test)]
mod tests {
    use netroxy_specification::notation::ast::Side;

    use super::*;
    use crate::manifest::Manifest;
    use crate::peers;
    use crate::run::preflight;

    async fn looked_at(manifest: Manifest) -> Vec<Found> {
        let subject = Arc::new(Subject::Started(manifest));
        let tls = Tls::new().unwrap();
        let ready = preflight(&subject, &tls, 1.0).await.unwrap();
        probe(&subject, &ready, &tls, 1.0).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_reference_peers_pass_all_checks() {
        for (side, looks) in [(Side::Server, SERVER), (Side::Client, CLIENT)] {
            let found = looked_at(peers::reference(side).unwrap()).await;
            let good: Vec<Found> = looks
                .iter()
                .map(|look| Found::Good(look.good.to_owned()))
                .collect();
            assert_eq!(found, good);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_broken_mapping_is_a_fault_and_the_other_findings_are_warnings() {
        let of = async |name: &str| looked_at(peers::manifest(name).unwrap()).await;
        let server = of("broken-server:mrs-port-off-by-one").await;
        let words = "mappings do not work: expected ctl < MRS $port true, got < MRS ";
        assert!(
            matches!(&server[0], Found::Fault(text) if text.contains(words)),
            "{server:?}"
        );
        let server = of("broken-server:password-not-compared").await;
        assert!(
            matches!(&server[..], [Found::Good(_), Found::Warning(text)]
                if text.contains("got < ARS true") && text.contains("{{pass}}")),
            "{server:?}"
        );
        let client = of("broken-client:certificate-not-verified").await;
        assert!(
            matches!(&client[..], [Found::Good(_), Found::Good(_), Found::Warning(text)]
                if text.contains("{{verify}}")),
            "{client:?}"
        );
    }
}
