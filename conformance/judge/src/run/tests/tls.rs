//! What TLS adds to a verdict: how a connection ends, and what its version allows.

use netroxy_broken::{Bug, Manner};
use netroxy_specification::notation::ast::Side;

use super::*;
use crate::embedded::NoPeers;
use crate::manifest::Manifest;
use crate::peers;
use crate::skip::Skip;

/// The results of these cases over TLS.
async fn over_tls(side: Side, manner: Manner, ids: &[&str]) -> Vec<Judged> {
    let subject = Arc::new(Subject::Started(peers::broken(side, manner).unwrap()));
    let entries = embedded().unwrap();
    let entries: Vec<Arc<Entry>> = ids
        .iter()
        .map(|id| Arc::new(entries[*id].clone()))
        .collect();
    let options = Options {
        hardened: true,
        jobs: 8,
        time_scale: 1.0,
        still: None,
    };
    let jobs = plan(&entries, &subject, &rules::embedded().unwrap(), options);
    let tls = Tls::new().unwrap();
    let mut results = Vec::new();
    for job in jobs.iter().filter(|job| job.transport == Transport::Tls) {
        results.push(judge::judge(job, &tls, &Twins::default()).await.0);
    }
    assert_eq!(results.len(), ids.len());
    results
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fin_alone_breaks_the_rule_about_it_and_not_that_of_the_step() {
    let manner = Manner::Bad(Bug::CloseNotifyNever);
    for (side, case) in [
        (Side::Server, "server/tunnel/half-close-user"),
        (Side::Client, "client/tunnel/half-close-service"),
    ] {
        let results = over_tls(side, manner, &[case]).await;
        let broken = results[0].broken.as_ref().unwrap();
        assert_eq!(results[0].verdict, Verdict::Fail, "{case}");
        assert_eq!(broken.marks, ["tls.close-notify"], "{case}");
        assert_eq!(
            broken.got.to_string(),
            "closed (a fin without close_notify)",
            "{case}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_knows_tls_1_2_alone_is_not_judged_by_half_closes_and_is_by_the_rest() {
    for (side, half, rest) in [
        (
            Side::Server,
            "server/tunnel/half-close-user",
            ["server/tunnel/echo", "server/tls/version"],
        ),
        (
            Side::Client,
            "client/tunnel/half-close-service",
            ["client/tunnel/echo", "client/life/reconnect"],
        ),
    ] {
        let [first, second] = rest;
        let results = over_tls(side, Manner::Tls12, &[half, first, second]).await;
        let verdicts: Vec<Verdict> = results.iter().map(|judged| judged.verdict).collect();
        assert_eq!(verdicts, [Verdict::Skip, Verdict::Pass, Verdict::Pass]);
        let why = results[0].why();
        assert!(
            why.contains("TLS 1.2") && why.contains("tunnel.half-close"),
            "{why}"
        );
    }
}

#[test]
fn what_ends_on_a_control_connection_is_no_half_close_of_a_tunnel() {
    let entries = embedded().unwrap();
    for (id, half) in [
        ("client/life/reconnect", false),
        ("client/tunnel/outlives-control", false),
        ("server/map/released-on-half-close", false),
        ("server/tunnel/early-data-and-end", true),
        ("client/tunnel/half-close-both", true),
    ] {
        assert_eq!(entries[id].case.half_closes(), half, "{id}");
    }
}

#[test]
fn a_client_that_cannot_be_told_whom_to_trust_skips_what_is_about_that() {
    let text = r#"{"name": "x", "role": "client", "launch": {"command": ["sh"], "files": {}}}"#;
    let manifest = Manifest::parse(
        "x.json",
        text,
        std::path::Path::new("."),
        &|_| None,
        &NoPeers,
    )
    .unwrap();
    let told = r#"{"name": "x", "role": "client", "launch": {"command": ["sh", "{{ca_file}}"]}}"#;
    let told = Manifest::parse(
        "x.json",
        told,
        std::path::Path::new("."),
        &|_| None,
        &NoPeers,
    )
    .unwrap();
    let entries = [Arc::new(embedded().unwrap()["client/tls/trusted"].clone())];
    let options = Options {
        hardened: true,
        jobs: 1,
        time_scale: 1.0,
        still: None,
    };
    for (manifest, skipped) in [(manifest, true), (told, false)] {
        let subject = Arc::new(Subject::Started(manifest));
        let jobs = plan(&entries, &subject, &rules::embedded().unwrap(), options);
        let why = jobs[0].skip.as_ref();
        assert_eq!(why == Some(&Skip::NoAuthority), skipped);
    }
}
