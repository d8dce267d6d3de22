//! Metrics for Prometheus, and health checks.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use netroxy_proto::Password;

use super::answer;
use super::state::{ConnectionInfo, Web};
use crate::{Census, WebConfig, requests};

const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The program runs: every answer means yes.
pub(super) async fn live() -> &'static str {
    "live\n"
}

/// Whether clients can log in.
pub(super) async fn ready(State(web): State<Arc<Web>>) -> (StatusCode, &'static str) {
    if web.hub.stop.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}

pub(super) async fn metrics(
    State(web): State<Arc<Web>>,
    Extension(connection): Extension<ConnectionInfo>,
    headers: HeaderMap,
) -> Response {
    let is_administrator = || {
        let session = web.session(connection, &headers);
        session.is_some_and(|(_, viewer)| viewer.administrator)
    };
    let may_read = web.configured(|config| may_read(config, connection, &headers));
    if may_read != Some(true) && !is_administrator() {
        let why =
            "metrics need the bearer token of web.metricsToken, or an administrator's session";
        let mut refusal = answer::error(StatusCode::UNAUTHORIZED, why);
        let heads = refusal.headers_mut();
        heads.insert(
            header::WWW_AUTHENTICATE,
            header::HeaderValue::from_static("Bearer"),
        );
        return refusal;
    }
    ([(header::CONTENT_TYPE, FORMAT)], text(&web.figures())).into_response()
}

/// Whether a request may read the metrics: it shows the token. Without a token in the configuration it has to
/// come from this machine.
fn may_read(config: &WebConfig, connection: ConnectionInfo, headers: &HeaderMap) -> bool {
    let Some(token) = &config.metrics_token else {
        return connection.peer.is_loopback();
    };
    let shown = headers.get(header::AUTHORIZATION);
    let shown = shown.and_then(|shown| {
        let (scheme, token) = shown.as_bytes().split_at_checked("Bearer ".len())?;
        scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
    });
    shown.is_some_and(|shown| Password::try_from(shown).is_ok_and(|shown| shown == *token))
}

/// The figures of the page.
struct Figures {
    started: u64,
    census: Census,
    waiting: usize,
    off: usize,
    open_tunnels: usize,
    tunnels: u64,
    bytes_to_users: u64,
    bytes_from_users: u64,
    sessions: usize,
    requests: BTreeMap<requests::State, usize>,
}

impl Web {
    fn figures(&self) -> Figures {
        let snapshot = self.board.now();
        let traffic = snapshot.traffic(|_| true);
        Figures {
            started: self.board.started,
            census: self.hub.admission.census(),
            waiting: self.hub.waiting(),
            off: snapshot
                .mappings
                .iter()
                .filter(|mapping| !mapping.on)
                .count(),
            open_tunnels: snapshot.tunnels.len(),
            tunnels: snapshot.begun,
            bytes_to_users: traffic.bytes_to_users,
            bytes_from_users: traffic.bytes_from_users,
            sessions: self.sessions.count(Instant::now()),
            requests: self.hub.requests(|list, _| list.counts()),
        }
    }
}

fn text(figures: &Figures) -> String {
    let mut page = Page(String::new());
    let census = &figures.census;
    page.family("info", "gauge", "The version of the server.");
    page.labelled("info", "version", crate::VERSION, 1);
    page.one(
        "start_time_seconds",
        "gauge",
        "When the server started, in seconds since 1970.",
        figures.started,
    );
    page.one(
        "clients",
        "gauge",
        "Clients that are logged in.",
        census.clients,
    );
    page.one("mappings", "gauge", "Mapped ports.", census.ports);
    page.one(
        "mappings_off",
        "gauge",
        "Mapped ports that are switched off.",
        figures.off,
    );
    page.one(
        "users",
        "gauge",
        "Users, including those that wait for a tunnel.",
        census.users,
    );
    page.one(
        "waiting_users",
        "gauge",
        "Users that wait for a tunnel.",
        figures.waiting,
    );
    page.one(
        "open_tunnels",
        "gauge",
        "Open tunnels.",
        figures.open_tunnels,
    );
    page.one(
        "tunnels_total",
        "counter",
        "Tunnels that have begun.",
        figures.tunnels,
    );
    page.one(
        "to_users_bytes_total",
        "counter",
        "Bytes that users received through tunnels.",
        figures.bytes_to_users,
    );
    page.one(
        "from_users_bytes_total",
        "counter",
        "Bytes that users sent through tunnels.",
        figures.bytes_from_users,
    );
    page.one(
        "fresh_connections",
        "gauge",
        "Connections that have not logged in or become a tunnel.",
        census.fresh_connections,
    );
    page.one(
        "descriptors",
        "gauge",
        "Descriptors in use for connections.",
        census.descriptors,
    );
    page.one(
        "descriptors_limit",
        "gauge",
        "Descriptors that connections may use.",
        census.descriptor_limit,
    );
    page.one(
        "web_sessions",
        "gauge",
        "Sessions of the web interface.",
        figures.sessions,
    );
    page.family(
        "mapping_requests",
        "gauge",
        "Requests for mappings, by state.",
    );
    for (state, count) in &figures.requests {
        page.labelled("mapping_requests", "state", &state.to_string(), count);
    }
    page.family("refused_total", "counter", "Refusals, by reason.");
    for (reason, count) in &census.refused {
        page.labelled("refused_total", "reason", reason, *count);
    }
    page.0
}

/// A page in the text format, version 0.0.4. Writing to a string does not fail.
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(
            self.0,
            "# HELP netroxy_server_{name} {help}\n# TYPE netroxy_server_{name} {kind}\n"
        );
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.family(name, kind, help);
        let _ = writeln!(self.0, "netroxy_server_{name} {value}");
    }

    fn labelled(&mut self, name: &str, label: &str, text: &str, value: impl std::fmt::Display) {
        let text = text
            .replace('\\', r"\\")
            .replace('"', "\\\"")
            .replace('\n', r"\n");
        let _ = writeln!(
            self.0,
            "netroxy_server_{name}{{{label}=\"{text}\"}} {value}"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn figures() -> Figures {
        Figures {
            started: 1_700_000_000,
            census: Census {
                fresh_connections: 1,
                clients: 2,
                users: 3,
                ports: 4,
                descriptors: 5,
                descriptor_limit: 6,
                refused: BTreeMap::from([
                    ("no TLS handshake".to_owned(), 7),
                    ("a \"quote\" \\ and\nmore".to_owned(), 8),
                ]),
            },
            waiting: 9,
            off: 10,
            open_tunnels: 11,
            tunnels: 12,
            bytes_to_users: 13,
            bytes_from_users: u64::MAX,
            sessions: 14,
            requests: [(requests::State::Asked, 15), (requests::State::Mapped, 0)].into(),
        }
    }

    /// Each family is listed once, with its type, before its samples.
    #[test]
    fn the_page_follows_the_rules_of_the_prometheus_text_format() {
        let text = text(&figures());
        let mut families = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(help.ends_with('.'), "{line}");
                assert!(
                    families.insert(name.to_owned(), String::new()).is_none(),
                    "{line}"
                );
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(kind == "gauge" || kind == "counter", "{line}");
                assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
                *families.get_mut(name).unwrap() = kind.to_owned();
            } else {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                let name = sample.split('{').next().unwrap();
                let is_word = |c: char| c.is_ascii_lowercase() || c == '_';
                assert!(
                    name.starts_with("netroxy_server_") && name.chars().all(is_word),
                    "{line}"
                );
                assert!(
                    families.get(name).is_some_and(|kind| !kind.is_empty()),
                    "{line}"
                );
                assert!(seen.insert(sample.to_owned()), "{line}");
                value.parse::<u64>().unwrap();
            }
        }
        assert!(text.ends_with('\n'));
        for line in [
            "netroxy_server_start_time_seconds 1700000000",
            "netroxy_server_clients 2",
            "netroxy_server_open_tunnels 11",
            "netroxy_server_to_users_bytes_total 13",
            "netroxy_server_from_users_bytes_total 18446744073709551615",
            r#"netroxy_server_mapping_requests{state="asked"} 15"#,
            r#"netroxy_server_mapping_requests{state="mapped"} 0"#,
            r#"netroxy_server_refused_total{reason="no TLS handshake"} 7"#,
            r#"netroxy_server_refused_total{reason="a \"quote\" \\ and\nmore"} 8"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
