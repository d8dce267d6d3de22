//! Settings of the configuration: accounts, limits, TLS for users, the PROXY protocol, networks, speed.

use std::path::Path;
use std::time::Duration;

use netroxy_net::tls::{self, Trust};
use netroxy_net::tls_server::CertificateFiles;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::{Client, PATIENCE, Rig, free_port, is_closed, lines, map, receives};

const ACCOUNT: &str = r#""username": "u", "password": "p", "timeout": 30"#;

/// Starts a server with one account.
async fn start(more: &str) -> Rig {
    Rig::start_with(&format!("{ACCOUNT}, {more}")).await
}

/// Logs a client of this account in.
async fn log_in(rig: &Rig) -> Client {
    rig.client("n", "u", "p").await
}

/// Connects a user to a mapped port by TLS, for a server of this name.
async fn user_with_tls(
    port: u16,
    name: &'static str,
    trust: &Trust,
) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
    let connector = TlsConnector::from(tls::client(trust, None).unwrap());
    let name = ServerName::try_from(name).unwrap();
    connector.connect(name, tcp).await
}

/// Sends bytes and the end of the stream both ways.
async fn are_joined<A, B>(mut user: A, mut data: B)
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    user.write_all(b"question").await.unwrap();
    receives(&mut data, b"question").await;
    data.write_all(b"answer").await.unwrap();
    receives(&mut user, b"answer").await;
    user.shutdown().await.unwrap();
    assert!(is_closed(&mut data).await);
    data.shutdown().await.unwrap();
    assert!(is_closed(&mut user).await);
}

#[tokio::test]
async fn each_account_has_its_own_ports() {
    let (low, high) = (free_port(), free_port());
    let rig = Rig::start_with(&format!(
        r#""timeout": 30, "allowedPorts": "{high}", "users": [
            {{"username": "u", "password": "p", "allowedPorts": {low}}},
            {{"username": "v", "password": "q"}}]"#
    ))
    .await;
    let mut first = rig.connect().await;
    first.write_all(b"ATH\nn\nu\np\n").await.unwrap();
    lines(&mut first, 4).await;
    let mut second = rig.connect().await;
    // The same client name, but of another user: the first login stays.
    second.write_all(b"ATH\nn\nv\nq\n").await.unwrap();
    lines(&mut second, 4).await;
    assert!(!map(&mut first, high).await);
    assert!(map(&mut first, low).await);
    assert!(!map(&mut second, low).await);
    assert!(map(&mut second, high).await);
    let mut stranger = rig.connect().await;
    stranger.write_all(b"ATH\nn\nv\np\n").await.unwrap();
    assert_eq!(lines(&mut stranger, 2).await, "ARS\nfalse\n");
    let status = rig.handle.status();
    assert_eq!(status.census.clients, 2);
    let refused = &status.census.refused;
    assert_eq!(refused.get("the account may not map this port"), Some(&1));
}

#[tokio::test]
async fn the_ports_of_a_client_are_bounded_until_its_login_ends() {
    let rig = start(r#""limits": {"portsPerClient": 2}"#).await;
    let Client { mut control, .. } = log_in(&rig).await;
    let ports = [free_port(), free_port(), free_port()];
    assert!(map(&mut control, ports[0]).await);
    assert!(map(&mut control, ports[1]).await);
    assert!(!map(&mut control, ports[2]).await);
    drop(control);
    // The ports of a login that has ended do not count.
    let Client { mut control, .. } = log_in(&rig).await;
    assert!(map(&mut control, ports[2]).await);
}

#[tokio::test]
async fn the_number_of_logged_in_clients_is_bounded() {
    let rig = start(r#""limits": {"clients": 1}"#).await;
    let Client {
        control: _control, ..
    } = log_in(&rig).await;
    let mut second = rig.connect().await;
    second.write_all(b"ATH\nother\nu\np\n").await.unwrap();
    assert_eq!(lines(&mut second, 2).await, "ARS\nfalse\n");
}

#[tokio::test]
async fn wrong_passwords_shut_an_address_out_but_not_one_that_holds_a_login() {
    let rig = start(r#""limits": {"wrongPasswordSeconds": 100}"#).await;
    let guess = async || {
        let mut stranger = rig.connect().await;
        let _ = stranger.write_all(b"ATH\nn\nu\nwrong\n").await;
        let mut answer = Vec::new();
        // A connection that is refused may be reset.
        let _ = timeout(PATIENCE, stream_to_end(&mut stranger, &mut answer)).await;
        String::from_utf8(answer).unwrap()
    };
    let Client { control, .. } = log_in(&rig).await;
    for _ in 0..5 {
        assert_eq!(guess().await, "ARS\nfalse\n");
    }
    drop(control);
    while rig.handle.status().census.clients > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(guess().await, "");
    let refused = rig.handle.status().census.refused;
    assert_eq!(
        refused.get("too many wrong passwords from this address"),
        Some(&1)
    );
}

async fn stream_to_end(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> std::io::Result<usize> {
    stream.read_to_end(bytes).await
}

#[tokio::test]
async fn the_server_ends_tls_of_users_and_the_service_receives_plain_bytes() {
    let port = free_port();
    let rig = start(&format!(
        r#""mappedPorts": [{{"ports": {port},
            "tls": {{"enabled": true, "ca": "cert.pem", "key": "key.pem"}}}}]"#
    ))
    .await;
    let Client { mut control, token } = log_in(&rig).await;
    assert!(map(&mut control, port).await);

    // A user without TLS is closed, and the client receives no TRQ.
    let mut plain = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    plain.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream_to_end(&mut plain, &mut answer)).await;

    let tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let connector = TlsConnector::from(tls::client(&Trust::Anyone, None).unwrap());
    let name = ServerName::try_from("localhost").unwrap();
    let user = connector.connect(name, tcp).await.unwrap();
    let data = rig.data(&mut control, &token, port).await;
    are_joined(user, data).await;
}

#[tokio::test]
async fn a_user_without_a_required_certificate_is_refused() {
    let port = free_port();
    let certificates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../netroxy-net/tests/tls");
    let authority = certificates.join("signed-ca.pem");
    let rig = start(&format!(
        r#""mappedPorts": [{{"ports": {port}, "tls": {{"enabled": true, "ca": "cert.pem",
            "key": "key.pem", "clientCa": {authority:?}}}}}]"#
    ))
    .await;
    let Client { mut control, token } = log_in(&rig).await;
    assert!(map(&mut control, port).await);
    let pair = |chain: &str, key: &str| CertificateFiles {
        chain: certificates.join(chain),
        key: certificates.join(key),
    };
    let come = async |identity: Option<CertificateFiles>| {
        let tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let client = tls::client(&Trust::Anyone, identity.as_ref()).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        // With TLS 1.3 the user receives the alert at its first read.
        TlsConnector::from(client).connect(name, tcp).await.unwrap()
    };
    let other = CertificateFiles {
        chain: rig.folder.path().join("cert.pem"),
        key: rig.folder.path().join("key.pem"),
    };
    for (wrong, alert) in [(None, "CertificateRequired"), (Some(other), "UnknownCA")] {
        let read = timeout(PATIENCE, come(wrong).await.read_u8()).await;
        let error = read.unwrap().unwrap_err().to_string();
        assert!(error.contains(alert), "{error}");
    }
    // The server counts the refusal after it has sent the alert.
    let counted = async {
        while rig.handle.status().census.refused.get("no TLS handshake") != Some(&2) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, counted).await.unwrap();

    let user = come(Some(pair("signed.pem", "ec-sec1.key"))).await;
    // The client has received no TRQ for the other users.
    let data = rig.data(&mut control, &token, port).await;
    are_joined(user, data).await;
}

#[tokio::test]
async fn silent_users_do_not_delay_the_handshakes_of_others() {
    let port = free_port();
    let rig = start(&format!(
        r#""userTimeout": 600, "limits": {{"handshakes": 1}}, "mappedPorts": [{{"ports": {port},
            "tls": {{"enabled": true, "ca": "cert.pem", "key": "key.pem"}}}}]"#
    ))
    .await;
    let Client { mut control, token } = log_in(&rig).await;
    assert!(map(&mut control, port).await);
    let come = async || TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let _silent = come().await;
    let mut slow = come().await;
    // Only the first byte of a handshake.
    slow.write_all(b"\x16").await.unwrap();
    while rig.handle.status().census.users < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let connector = TlsConnector::from(tls::client(&Trust::Anyone, None).unwrap());
    let name = ServerName::try_from("localhost").unwrap();
    let shaking = connector.connect(name, come().await);
    let user = timeout(PATIENCE, shaking).await.unwrap().unwrap();
    let data = rig.data(&mut control, &token, port).await;
    are_joined(user, data).await;
}

#[tokio::test]
async fn a_service_receives_the_address_of_its_user() {
    let port = free_port();
    let rig = start(&format!(
        r#""mappedPorts": [{{"ports": {port}, "proxyProtocol": 1, "trustedProxies": "127.0.0.1",
            "deny": "192.0.2.128/25"}}]"#
    ))
    .await;
    let Client { mut control, token } = log_in(&rig).await;
    assert!(map(&mut control, port).await);
    let user = async |header: &str| {
        let mut user = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        user.write_all(header.as_bytes()).await.unwrap();
        user
    };
    // The allowed networks are compared with the user's address, not with the proxy's.
    let mut denied = user("PROXY TCP4 192.0.2.200 192.0.2.1 4711 80\r\n").await;
    assert!(is_closed(&mut denied).await);
    let mut no_header = user("GET / HTTP/1.0\r\n\r\n").await;
    assert!(is_closed(&mut no_header).await);

    let user = user("PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n").await;
    let mut data = rig.data(&mut control, &token, port).await;
    let header = format!("PROXY TCP4 192.0.2.7 127.0.0.1 4711 {port}\r\n");
    receives(&mut data, header.as_bytes()).await;
    are_joined(user, data).await;
}

#[tokio::test]
async fn clients_can_connect_through_a_trusted_proxy() {
    let rig = start(r#""trustedProxies": ["127.0.0.0/8"]"#).await;
    let mut control = rig.connect().await;
    let login = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\x7f\x00\x00\x01\x12\x67\x00\x50ATH\nn\nu\np\n";
    control.write_all(login).await.unwrap();
    assert!(lines(&mut control, 4).await.starts_with("ARS\ntrue\n30\n"));
    let status = rig.handle.status();
    assert_eq!(status.clients[0].address, "192.0.2.7:4711".parse().unwrap());
    let mut without = rig.connect().await;
    without.write_all(b"ATH\nn\nu\np\n").await.unwrap();
    assert!(is_closed(&mut without).await);
}

#[tokio::test]
async fn users_above_a_bound_are_refused_and_others_are_served() {
    let (narrow, wide, closed) = (free_port(), free_port(), free_port());
    let rig = start(&format!(
        r#""limits": {{"waitingPerPort": 3}}, "mappedPorts": [
            {{"ports": {narrow}, "usersPerSecond": 2}},
            {{"ports": {closed}, "allow": ["192.0.2.0/24"]}}]"#
    ))
    .await;
    let Client { mut control, token } = log_in(&rig).await;
    for port in [narrow, wide, closed] {
        assert!(map(&mut control, port).await);
    }
    let come = async |port| TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    assert!(is_closed(&mut come(closed).await).await);

    let mut users = Vec::new();
    for _ in 0..20 {
        users.push(come(narrow).await);
    }
    // 20 users connect in much less than five seconds, so more than 2 a second.
    assert!(is_closed(users.last_mut().unwrap()).await);
    drop(users);

    let (mut first, _second, _third) = (come(wide).await, come(wide).await, come(wide).await);
    assert!(is_closed(&mut come(wide).await).await);
    let mut asked = String::new();
    while asked != format!("TRQ\n{wide}\n") {
        asked = lines(&mut control, 2).await;
    }
    let mut data = rig.connect().await;
    let trs = format!("TRS\n{token}\n{wide}\n");
    data.write_all(trs.as_bytes()).await.unwrap();
    data.write_all(b"hello").await.unwrap();
    receives(&mut first, b"hello").await;
}

#[tokio::test]
async fn a_new_configuration_keeps_tunnels_open() {
    let port = free_port();
    let rig = start(r#""limits": {"clients": 5}"#).await;
    let Client { mut control, token } = log_in(&rig).await;
    assert!(map(&mut control, port).await);
    let user = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let data = rig.data(&mut control, &token, port).await;

    // The same account: the login stays.
    let same = Rig::config(&rig.folder, &format!(r#"{ACCOUNT}, "mappedPorts": []"#));
    assert_eq!(rig.handle.reload(same), ["port"; 1]);
    control.write_all(b"SRQ\n").await.unwrap();
    assert_eq!(lines(&mut control, 1).await, "SRS\n");

    // Another password: the login ends, the tunnel does not.
    let other = r#""username": "u", "password": "new", "timeout": 40"#;
    rig.handle.reload(Rig::config(&rig.folder, other));
    assert!(is_closed(&mut control).await);
    are_joined(user, data).await;
    let mut again = rig.connect().await;
    again.write_all(b"ATH\nn\nu\nnew\n").await.unwrap();
    assert!(lines(&mut again, 4).await.starts_with("ARS\ntrue\n40\n"));
}

/// Other systems have only one loopback address.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn users_can_connect_to_each_address_of_a_port_and_to_no_other() {
    let (few, many) = (free_port(), free_port());
    let rig = start(&format!(
        r#""mappedPorts": [{{"ports": {many}, "ip": ["127.0.0.2", "127.0.0.3"]}}]"#
    ))
    .await;
    let Client { mut control, token } = log_in(&rig).await;
    assert!(map(&mut control, few).await);
    assert!(map(&mut control, many).await);
    for address in ["127.0.0.2", "127.0.0.3"] {
        let user = TcpStream::connect((address, many)).await.unwrap();
        let data = rig.data(&mut control, &token, many).await;
        are_joined(user, data).await;
    }
    assert!(TcpStream::connect(("127.0.0.1", many)).await.is_err());
    assert!(TcpStream::connect(("127.0.0.1", few)).await.is_ok());
    assert!(TcpStream::connect(("127.0.0.2", few)).await.is_err());
}

#[tokio::test]
async fn a_new_certificate_is_used_for_the_next_user() {
    let port = free_port();
    let members = |name: &str| {
        format!(
            r#"{ACCOUNT}, "mappedPorts": [{{"ports": {port},
                "tls": {{"enabled": true, "ca": "{name}.pem", "key": "{name}.key"}}}}]"#
        )
    };
    let rig = Rig::start_with(ACCOUNT).await;
    let (old, new) = (rig.pair("old", "localhost"), rig.pair("new", "localhost"));
    let Client { mut control, token } = log_in(&rig).await;
    assert!(map(&mut control, port).await);
    for (name, trusted, other) in [("old", &old, &new), ("new", &new, &old)] {
        rig.handle.reload(Rig::config(&rig.folder, &members(name)));
        assert!(user_with_tls(port, "localhost", other).await.is_err());
        let user = user_with_tls(port, "localhost", trusted).await.unwrap();
        let data = rig.data(&mut control, &token, port).await;
        are_joined(user, data).await;
    }
}

#[tokio::test]
async fn a_user_gets_the_certificate_of_the_name_that_it_asks_for() {
    let port = free_port();
    let rig = Rig::start_with(ACCOUNT).await;
    let (first, second) = (
        rig.pair("first", "first.example"),
        rig.pair("second", "second.example"),
    );
    rig.handle.reload(Rig::config(
        &rig.folder,
        &format!(
            r#"{ACCOUNT}, "mappedPorts": [{{"ports": {port}, "tls": {{"enabled": true,
                "ca": "first.pem", "key": "first.key",
                "certificates": [{{"ca": "second.pem", "key": "second.key"}}]}}}}]"#
        ),
    ));
    let Client {
        mut control,
        token: _token,
    } = log_in(&rig).await;
    assert!(map(&mut control, port).await);
    for (name, trust, is_right) in [
        ("first.example", &first, true),
        ("second.example", &second, true),
        ("second.example", &first, false),
        // For another name the server sends the first certificate, which does not match it.
        ("third.example", &first, false),
    ] {
        let user = user_with_tls(port, name, trust).await;
        assert_eq!(user.is_ok(), is_right, "{name}");
    }
}

#[tokio::test]
async fn a_client_that_reads_no_answers_is_closed() {
    let port = free_port();
    let rig = start(r#""limits": {"unreadAnswers": 50, "waitingPerPort": 0}"#).await;
    let socket = TcpSocket::new_v4().unwrap();
    // Small buffers, so that a write that waits means that the server does not read.
    socket.set_recv_buffer_size(4096).unwrap();
    socket.set_send_buffer_size(16 * 1024).unwrap();
    let mut control = socket.connect(rig.clients).await.unwrap();
    control.write_all(b"ATH\nn\nu\np\n").await.unwrap();
    lines(&mut control, 4).await;
    assert!(map(&mut control, port).await);
    // Messages without end, so that after some time the server cannot send its answers.
    let sending = tokio::spawn(async move {
        let messages = b"MAP\n0\n\ntrue\n".repeat(1024);
        while control.write_all(&messages).await.is_ok() {}
    });
    // Each user is one more message to the client.
    let limit = tokio::time::Instant::now() + PATIENCE;
    let mut users = Vec::new();
    while rig.handle.status().census.clients > 0 {
        assert!(
            tokio::time::Instant::now() < limit,
            "the client is still logged in"
        );
        if let Ok(user) = TcpStream::connect(("127.0.0.1", port)).await {
            users.push(user);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    sending.await.unwrap();
    let refused = rig.handle.status().census.refused;
    assert_eq!(
        refused.get("the client does not read its answers"),
        Some(&1)
    );
}
