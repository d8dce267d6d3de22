//! Whole sessions of the two machines with each other, as transcripts.

use insta::assert_snapshot;

use crate::rig::Rig;

#[test]
fn login_map_and_tunnel() {
    let mut rig = Rig::new(300);
    rig.client("a", "secret", &[(8080, true), (2222, true)]);
    rig.run_to(0.0);
    rig.user(8080);
    rig.run_to(0.0);
    rig.user(2222);
    rig.run_to(1.0);
    assert_eq!(rig.census(), (1, 2, 0));
    assert_snapshot!(rig.transcript());
}

#[test]
fn wrong_password_and_back_off() {
    let mut rig = Rig::new(300);
    rig.client("a", "guess", &[(8080, true)]);
    rig.run_to(40.0);
    assert_eq!(rig.census(), (0, 0, 0));
    assert_snapshot!(rig.transcript());
}

#[test]
fn busy_port_and_map_retry() {
    let mut rig = Rig::new(300);
    rig.client("a", "secret", &[(8080, true), (8081, true)]);
    rig.busy.insert(8080);
    rig.run_to(5.0);
    rig.busy.clear();
    rig.run_to(12.0);
    rig.user(8080);
    rig.run_to(12.0);
    assert_snapshot!(rig.transcript());
}

#[test]
fn closed_mapping() {
    let mut rig = Rig::new(300);
    rig.client("a", "secret", &[(8080, false)]);
    rig.run_to(0.0);
    rig.user(8080);
    rig.run_to(1.0);
    assert_eq!(rig.census(), (1, 1, 0));
    assert_snapshot!(rig.transcript());
}

#[test]
fn user_waits_and_times_out() {
    let mut rig = Rig::new(300);
    let probe = rig.script("probe");
    rig.send(probe, b"ATH\nprobe\nalice\nsecret\nMAP\n8080\nt:1\ntrue\n");
    rig.run_to(1.0);
    rig.user(8080);
    rig.run_to(3.0);
    let leaves = rig.user(8080);
    rig.run_to(5.0);
    rig.user_leaves(leaves);
    rig.run_to(30.0);
    assert_eq!(rig.census(), (1, 1, 0));
    assert_snapshot!(rig.transcript());
}

#[test]
fn client_goes_while_users_wait() {
    let mut rig = Rig::new(300);
    rig.client("a", "secret", &[(8080, true)]);
    rig.run_to(0.0);
    // Its process stands still: none of its messages arrives.
    rig.cut_off("a", true);
    rig.user(8080);
    rig.user(8080);
    let restarted = rig.script("a/new");
    rig.send(restarted, b"ATH\na\nalice\nsecret\n");
    rig.run_to(0.5);
    rig.user(8080);
    assert_eq!(rig.census(), (1, 0, 0));
    assert_snapshot!(rig.transcript());
}

#[test]
fn client_is_killed_while_a_user_waits_and_a_tunnel_lives() {
    let mut rig = Rig::new(300);
    rig.client("a", "secret", &[(8080, true)]);
    rig.run_to(0.0);
    rig.user(8080);
    rig.run_to(0.0);
    rig.user(8080);
    rig.kill("a");
    rig.run_to(1.0);
    assert_eq!(rig.census(), (0, 0, 0));
    assert_snapshot!(rig.transcript());
}

#[test]
fn keepalive_over_some_periods() {
    let mut rig = Rig::new(3);
    rig.client("a", "secret", &[]);
    rig.run_to(6.5);
    assert_eq!(rig.census(), (1, 0, 0));
    assert_snapshot!(rig.transcript());
}

#[test]
fn silent_server_is_given_up_and_client_reconnects() {
    let mut rig = Rig::new(3);
    rig.client("a", "secret", &[(8080, true)]);
    rig.run_to(1.5);
    rig.cut_off("a", true);
    rig.run_to(8.0);
    rig.cut_off("a", false);
    rig.run_to(10.5);
    assert_eq!(rig.census(), (1, 1, 0));
    assert_snapshot!(rig.transcript());
}

#[test]
fn silent_client_expires_and_frees_its_port() {
    let mut rig = Rig::new(3);
    let old = rig.script("old");
    rig.send(old, b"ATH\nold\nalice\nsecret\nMAP\n8080\nt:1\ntrue\n");
    rig.run_to(1.0);
    rig.client("new", "secret", &[(8080, true)]);
    rig.run_to(9.0);
    assert_eq!(rig.census(), (1, 1, 0));
    assert_snapshot!(rig.transcript());
}

#[test]
fn same_client_name_replaces() {
    let mut rig = Rig::new(300);
    let old = rig.script("old");
    rig.send(old, b"ATH\na\nalice\nsecret\nMAP\n8080\nt:1\ntrue\n");
    rig.run_to(1.0);
    rig.user(8080);
    rig.client("a", "secret", &[(8080, true)]);
    rig.run_to(2.0);
    rig.user(8080);
    rig.run_to(2.0);
    assert_eq!(rig.census(), (1, 1, 0));
    assert_snapshot!(rig.transcript());
}

#[test]
fn two_clients_two_ports_several_users() {
    let mut rig = Rig::new(300);
    rig.latency = std::time::Duration::from_millis(20);
    rig.client("a", "secret", &[(1001, true)]);
    rig.client("b", "secret", &[(1002, true), (1001, true)]);
    rig.run_to(0.5);
    for port in [1001, 1002, 1001, 1002, 1001] {
        rig.user(port);
    }
    rig.run_to(0.9);
    assert_eq!(rig.census(), (2, 2, 0));
    assert_snapshot!(rig.transcript());
}

/// The original client sends SRQ exactly every timeout. The server must not close it because a message
/// takes time.
#[test]
fn a_client_that_sends_srq_exactly_every_timeout_is_kept() {
    let mut rig = Rig::new(3);
    rig.latency = std::time::Duration::from_millis(100);
    let go = rig.script("go");
    rig.run_to(0.2);
    rig.send(go, b"ATH\ngo\nalice\nsecret\n");
    for period in 1..=3 {
        // 50 ms late each time, in addition to the latency.
        rig.run_to(0.4 + 3.05 * f64::from(period));
        rig.send(go, b"SRQ\n");
    }
    rig.run_to(13.0);
    assert_eq!(rig.census(), (1, 0, 0));
    rig.run_to(15.0);
    assert_eq!(rig.census(), (0, 0, 0));
    assert_snapshot!(rig.transcript());
}

#[test]
fn peers_that_break_the_rules() {
    let mut rig = Rig::new(300);
    rig.client("a", "secret", &[(8080, true)]);
    rig.run_to(0.0);
    let probes = [
        &b"SRQ\n"[..],
        b"MAP\n80\nt:1\ntrue\n",
        b"TRS\nguess\n8080\n",
        b"TRS\ntoken-1\n8081\n",
        b"TRS\ntoken-1\n8080\n",
        b"ATH\nprobe\nalice\nsecret\nATH\nprobe\nalice\nsecret\n",
        b"ATH\nprobe\nalice\nsecret\nTRS\ntoken-1\n8080\n",
        b"ATH\nprobe\nalice\nsecret\nGET / HTTP/1.1\r\n",
        b"ATH\nprobe\nalice\nsecret\nMAP\n0\nt:1\ntrue\nMAP\n65536\nt:1\ntrue\nMAP\nno\n",
        b"ATH\nprobe\nalice\n",
    ];
    for (number, bytes) in probes.iter().enumerate() {
        let probe = rig.script(&format!("probe{number}"));
        rig.send(probe, bytes);
        rig.run_to(0.0);
    }
    rig.run_to(11.0);
    assert_eq!(rig.census(), (1, 1, 0));
    assert_snapshot!(rig.transcript());
}
