//! The page. The server writes its frame. The script fills the tables with the data of `/api/v1/stream`, as
//! text and never as markup.

use std::sync::Arc;

use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{DOCTYPE, Markup, html};
use serde::Deserialize;

use super::access::SignedIn;
use super::answer;
use super::session::Session;
use super::state::{ConnectionInfo, Web};
use super::viewer::Viewer;

pub(super) async fn page(
    State(web): State<Arc<Web>>,
    Extension(connection): Extension<ConnectionInfo>,
    headers: HeaderMap,
) -> Response {
    let page = match web.session(connection, &headers) {
        Some((session, viewer)) => board(&session, &viewer),
        None => sign_in(),
    };
    let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
    (kind, page.into_string()).into_response()
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

pub(super) async fn style() -> Response {
    asset("text/css; charset=utf-8", include_str!("page.css"))
}

pub(super) async fn script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("page.js"))
}

pub(super) async fn icon() -> Response {
    asset("image/svg+xml", include_str!("icon.svg"))
}

fn frame(title: &str, csrf: Option<&str>, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                @if let Some(csrf) = csrf {
                    meta name="csrf" content=(csrf);
                }
                title { (title) }
                link rel="icon" href="/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/page.css";
                script src="/page.js" defer {}
            }
            body { (body) }
        }
    }
}

fn sign_in() -> Markup {
    let body = html! {
        main.sign-in {
            h1 { "Netroxy server" }
            form #sign-in {
                label for="user" { "User name" }
                input #user name="user" autocomplete="username" autocapitalize="none" spellcheck="false"
                    required autofocus;
                label for="password" { "Password" }
                input #password name="password" type="password" autocomplete="current-password" required;
                button type="submit" { "Sign in" }
                p #said role="alert" {}
            }
            (no_script())
        }
    };
    frame("Sign in · Netroxy server", None, body)
}

fn no_script() -> Markup {
    html! {
        noscript {
            p { "This page needs JavaScript. In a terminal, " code { "netroxy-server status" } " shows the state." }
        }
    }
}

fn board(session: &Session, viewer: &Viewer) -> Markup {
    let user = viewer.account.username.to_string();
    let administrator = if viewer.administrator { "yes" } else { "no" };
    let body = html! {
        a.skip href="#mappings" { "Skip to the mappings" }
        header {
            h1 { "Netroxy server" }
            p #state role="status" { "connecting …" }
            p.who {
                span {
                    (user)
                    @if viewer.administrator { " (administrator)" }
                }
                button #sign-out type="button" { "Sign out" }
            }
        }
        main data-user=(user) data-administrator=(administrator) {
            (no_script())
            p #said role="alert" {}
            section aria-labelledby="overview" {
                h2 #overview { "Overview" }
                dl.figures {
                    (figure("clients", "Clients"))
                    (figure("mappings", "Mapped ports"))
                    (figure("tunnels", "Open tunnels"))
                    (figure("to-users", "To users"))
                    (figure("from-users", "From users"))
                    (figure("in-all", "Since the start"))
                }
                (picture())
            }
            (table("mappings", "Mapped ports", &[
                "Port", "Target", "Client", "Account", "Tunnels", "To users", "From users", "New users",
            ], "no port is mapped"))
            (requests())
            (table("tunnels", "Open tunnels", &[
                "User", "Port", "Client", "Open for", "To users", "Rate", "From users", "Rate",
            ], "no tunnel is open"))
            (table("clients", "Clients", &[
                "Name", "Account", "Address", "TLS", "Logged in for", "Ports", "Users",
            ], "no client is logged in"))
            (table("listeners", "Listeners", &["Address", "TLS"], "there is no listener"))
            @if viewer.administrator {
                (table("refusals", "Refusals since the start", &["Reason", "Count"], "there was no refusal"))
            }
            (table("events", "Recent events", &["Time", "Event", "Count"], "there is no event"))
        }
    };
    frame("Netroxy server", Some(session.csrf.as_str()), body)
}

fn figure(id: &str, name: &str) -> Markup {
    html! {
        div {
            dt { (name) }
            dd id={ "figure-" (id) } { "–" }
        }
    }
}

fn picture() -> Markup {
    html! {
        figure.traffic {
            svg #traffic role="img" aria-label="Traffic of the last five minutes" viewBox="0 0 300 80"
                preserveAspectRatio="none" {
                path.grid d="M0 1H300M0 40H300M0 79H300" {}
                path #path-from-users.from-users d="" {}
                path #path-to-users.to-users d="" {}
            }
            figcaption {
                span { "5 minutes ago" }
                span.key {
                    span.to-users { "to users" }
                    span.from-users { "from users" }
                    span { "maximum: " span #most { "–" } }
                }
                span { "now" }
            }
        }
    }
}

/// A form to ask a client for a mapping, and the table of requests.
fn requests() -> Markup {
    let form = html! {
        form #ask {
            label for="ask-client" { "Client" }
            select #ask-client name="client" required aria-describedby="ask-hint" {
                option value="" { "choose a client" }
            }
            label for="ask-target" { "Target, as the client reaches it" }
            input #ask-target name="target" placeholder="127.0.0.1:22" required autocomplete="off"
                autocapitalize="none" spellcheck="false" maxlength="64";
            label for="ask-port" { "Port of this server" }
            input #ask-port name="port" type="number" inputmode="numeric" min="1" max="65535" required
                autocomplete="off";
            button type="submit" { "Ask for the mapping" }
            p #ask-hint.hint {
                "The client decides. It takes requests if its configuration has a section "
                code { "requests" } ", and maps only targets that are allowed there."
            }
            p #ask-said role="status" {}
        }
    };
    section(
        "requests",
        "Requests for mappings",
        form,
        &[
            "Port", "Target", "Client", "Account", "Asked by", "When", "State", "Reason", "Action",
        ],
        "there is no request",
    )
}

/// A table that the script fills. On a narrow screen each row is a card, and the script's labels name its cells.
fn table(id: &str, title: &str, heads: &[&str], nothing: &str) -> Markup {
    section(id, title, Markup::default(), heads, nothing)
}

/// The same with `above` between title and table.
fn section(id: &str, title: &str, above: Markup, heads: &[&str], nothing: &str) -> Markup {
    html! {
        section id=(id) tabindex="-1" aria-labelledby={ (id) "-title" } {
            h2 id={ (id) "-title" } {
                (title) " "
                small id={ (id) "-more" } {}
            }
            (above)
            table aria-labelledby={ (id) "-title" } {
                thead {
                    tr { @for head in heads { th scope="col" { (head) } } }
                }
                tbody {}
            }
            p.nothing { (nothing) }
        }
    }
}

// The paths of the original server lead to sections of the page.

pub(super) async fn listeners(_: SignedIn) -> Redirect {
    Redirect::to("/#listeners")
}

pub(super) async fn clients(_: SignedIn) -> Redirect {
    Redirect::to("/#clients")
}

pub(super) async fn mappings(_: SignedIn) -> Redirect {
    Redirect::to("/#mappings")
}

#[derive(Deserialize)]
pub(super) struct Named {
    name: Option<String>,
}

/// `/server/?name=plain` or `tls`: the listeners for clients.
pub(super) async fn listener(
    State(web): State<Arc<Web>>,
    _: SignedIn,
    Query(named): Query<Named>,
) -> Response {
    let is_there = |name: &str| {
        let kind = |tls: bool| if tls { "tls" } else { "plain" };
        web.client_listeners
            .iter()
            .any(|listener| kind(listener.tls) == name)
    };
    redirect_if(named, is_there, "/#listeners")
}

/// `/client/?name=X`: a client of that name, which the viewer may see.
pub(super) async fn client(
    State(web): State<Arc<Web>>,
    SignedIn { viewer, .. }: SignedIn,
    Query(named): Query<Named>,
) -> Response {
    let is_there = |name: &str| {
        let snapshot = web.board.now();
        snapshot.clients(&viewer).any(|client| client.name == name)
    };
    redirect_if(named, is_there, "/#clients")
}

fn redirect_if(named: Named, is_there: impl FnOnce(&str) -> bool, place: &str) -> Response {
    match named.name {
        None => answer::error(StatusCode::BAD_REQUEST, "expected ?name=..."),
        Some(name) if is_there(&name) => Redirect::to(place).into_response(),
        Some(_) => answer::error(StatusCode::NOT_FOUND, "there is nothing of this name"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_in_a_page_are_escaped_and_pages_have_no_inline_script() {
        let page = frame(
            "<b>&",
            Some("\"><script>x</script>"),
            html! { p { "</body>" } },
        );
        let text = page.into_string();
        assert!(
            !text.contains("<b>") && !text.contains("<script>x") && !text.contains("<p></body>")
        );
        for page in [sign_in(), table("x", "<i>", &["<u>"], "</p>")] {
            let text = page.into_string();
            for bad in [
                "style=",
                "onclick",
                "javascript:",
                "http:",
                "https:",
                "<i>",
                "<u>",
            ] {
                assert!(!text.contains(bad), "{bad} in {text}");
            }
        }
    }

    /// The content security policy of the page requires this.
    #[test]
    fn the_script_makes_no_markup_and_calls_no_other_server() {
        let script = include_str!("page.js");
        for bad in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "Function(",
        ] {
            assert!(!script.contains(bad), "{bad}");
        }
        for text in [script, include_str!("page.css")] {
            for bad in ["http:", "https:", "url(", "@import"] {
                assert!(!text.contains(bad), "{bad}");
            }
        }
    }
}
