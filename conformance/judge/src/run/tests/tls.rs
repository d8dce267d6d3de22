//! Verdicts that TLS decides: how a connection ends, and what its version allows.

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
async fn a_fin_without_close_notify_breaks_only_the_rule_about_it() {
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
async fn a_peer_with_only_tls_1_2_skips_only_cases_with_half_closes() {
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
fn the_end_of_a_control_connection_is_no_half_close_of_a_tunnel() {
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
fn a_client_whose_manifest_has_no_ca_file_skips_cases_of_trust() {
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
