//! Shows runs, rules and cases in a browser on this machine, and plays a case on request.

mod guard;
mod pages;
mod plays;
mod runs;
mod sides;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Form, Path as PathParameter, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use futures_core::Stream;
use guard::Guard;
use netroxy_judge::sut::Subject;
use netroxy_judge::transcript::{Direction, Line};
use netroxy_judge::wire::Tls;
use netroxy_specification::catalog::Entry;
use netroxy_specification::notation::ast::Transport;
use netroxy_specification::rules::Rule;
use pages::{Html, Refusal};
use plays::{Play, PlayRequest, Plays};
use runs::{Reports, Runs};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::html::{SHARED, spec};
use crate::report::html::{SCRIPT, STYLE};

/// The data that the pages show.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) rules: Arc<[Rule]>,
    pub(crate) entries: Vec<Arc<Entry>>,
    /// The subjects that a case can be played against. A report cannot name another program.
    pub(crate) subjects: Vec<Arc<Subject>>,
    pub(crate) tls: Tls,
}

struct App {
    served: Served,
    reports: Reports,
    plays: Plays,
    guard: Arc<Guard>,
}

/// A server that listens.
pub(crate) struct Server {
    listener: TcpListener,
    app: Arc<App>,
    stop: CancellationToken,
}

impl Server {
    /// Listens for browsers; `folder` has the reports.
    ///
    /// # Errors
    /// When it cannot listen on the address, or the system gives no random number.
    pub(crate) async fn bind(
        address: SocketAddr,
        folder: &Path,
        served: Served,
        stop: CancellationToken,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let guard = Arc::new(Guard::new(listener.local_addr()?)?);
        let app = App {
            reports: Reports::new(folder, Arc::clone(&served.rules)),
            plays: Plays::new(Arc::clone(&served.rules), served.tls.clone(), stop.clone()),
            guard,
            served,
        };
        Ok(Self {
            listener,
            app: Arc::new(app),
            stop,
        })
    }

    /// The address that it listens on.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until it is stopped, and then ends all programs that it started.
    ///
    /// # Errors
    /// When connections can no longer be accepted.
    pub(crate) async fn run(self) -> io::Result<()> {
        let Self {
            listener,
            app,
            stop,
        } = self;
        let serving = axum::serve(listener, router(&app)).into_future();
        // Does not wait for browsers that follow a transcript.
        let served = stop.run_until_cancelled(serving).await;
        app.plays.ended().await;
        served.unwrap_or(Ok(()))
    }
}

fn router(app: &Arc<App>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/runs/{name}", get(run))
        .route("/matrix", get(matrix))
        .route("/rules", get(rules))
        .route("/rules/{id}", get(rule))
        .route("/cases", get(cases))
        .route("/cases/{*id}", get(case))
        .route("/compare", get(compare))
        .route("/play", post(play))
        .route("/plays/{number}", get(playing))
        .route("/plays/{number}/events", get(events))
        .route("/spec", get(specification))
        .route("/style.css", get(style))
        .route("/report.js", get(|| script(SCRIPT)))
        .route("/play.js", get(|| script(include_str!("serve/play.js"))))
        .fallback(|| async { missing("page") })
        .layer(DefaultBodyLimit::max(FORM))
        .layer(axum::middleware::from_fn_with_state(
            Arc::clone(&app.guard),
            guard::watch,
        ))
        .with_state(Arc::clone(app))
}

/// The greatest length of a form, in bytes.
const FORM: usize = 4096;

type Shared = State<Arc<App>>;

impl App {
    /// All runs. Reports may be long, so a blocking thread reads them.
    async fn runs(self: &Arc<Self>) -> Result<Runs, Refusal> {
        let app = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || app.reports.all()).await;
        let read = read.map_err(io::Error::other).flatten();
        let mut runs = read.map_err(|error| {
            let why = format!("The folder of reports cannot be read: {error}");
            pages::error(StatusCode::INTERNAL_SERVER_ERROR, &why)
        })?;
        runs.extend(self.plays.runs());
        Ok(Runs::new(runs))
    }

    fn entry(&self, id: &str) -> Option<&Arc<Entry>> {
        self.served.entries.iter().find(|entry| entry.id == id)
    }
}

fn missing(what: &str) -> Refusal {
    pages::error(StatusCode::NOT_FOUND, &format!("There is no such {what}."))
}

async fn index(State(app): Shared) -> Result<Html, Refusal> {
    Ok(pages::index(&app.runs().await?, &app.plays.going()))
}

async fn run(
    State(app): Shared,
    PathParameter(name): PathParameter<String>,
) -> Result<Response, Refusal> {
    let runs = app.runs().await?;
    let run = runs.named(&name).ok_or_else(|| missing("run"))?;
    match &run.report {
        Ok(report) => Ok(guard::styled(pages::run(&name, report))),
        Err(why) => Err(pages::error(StatusCode::UNPROCESSABLE_ENTITY, why)),
    }
}

async fn matrix(State(app): Shared) -> Result<Html, Refusal> {
    Ok(pages::matrix(&app.runs().await?, &app.served.rules))
}

fn rules(State(app): Shared) -> Ready<Html> {
    ready(pages::rules(&app.served.rules, &app.served.entries))
}

async fn rule(
    State(app): Shared,
    PathParameter(id): PathParameter<String>,
) -> Result<Html, Refusal> {
    let rule = app.served.rules.iter().find(|rule| rule.id == id);
    let rule = rule.ok_or_else(|| missing("rule"))?;
    Ok(pages::rule(&app.runs().await?, rule, &app.served.entries))
}

fn cases(State(app): Shared) -> Ready<Html> {
    ready(pages::cases(&app.served.entries))
}

async fn case(
    State(app): Shared,
    PathParameter(id): PathParameter<String>,
) -> Result<Html, Refusal> {
    let runs = app.runs().await?;
    let entry = app.entry(&id);
    if entry.is_none() && runs.of_case(&id).next().is_none() {
        return Err(missing("case"));
    }
    let entry = entry.map(|entry| (&**entry, &app.served.subjects[..]));
    Ok(pages::case(&runs, &id, entry, app.guard.token()))
}

/// The addresses of two results to compare.
#[derive(Debug, Deserialize)]
struct Comparison {
    left: String,
    right: String,
}

async fn compare(
    State(app): Shared,
    two: Result<Query<Comparison>, QueryRejection>,
) -> Result<Html, Refusal> {
    let Ok(Query(two)) = two else {
        return Err(pages::error(
            StatusCode::BAD_REQUEST,
            "Choose two results of a case.",
        ));
    };
    let runs = app.runs().await?;
    let find = |address: &str| runs.at(address).ok_or_else(|| missing("result"));
    Ok(pages::compare(find(&two.left)?, find(&two.right)?))
}

/// The form that asks to play a case.
#[derive(Debug, Deserialize)]
struct PlayForm {
    token: String,
    case: String,
    transport: String,
    subject: String,
}

fn play(
    State(app): Shared,
    asked: Result<Form<PlayForm>, FormRejection>,
) -> Ready<Result<Redirect, Refusal>> {
    ready(begin_play(&app, asked))
}

fn begin_play(
    app: &App,
    asked: Result<Form<PlayForm>, FormRejection>,
) -> Result<Redirect, Refusal> {
    let wrong = |why: &str| pages::error(StatusCode::BAD_REQUEST, why);
    let Ok(Form(asked)) = asked else {
        return Err(wrong("The form is incomplete."));
    };
    if !app.guard.accepts(&asked.token) {
        let why = "The form is from an earlier start of this program. Load the page again.";
        return Err(pages::error(StatusCode::FORBIDDEN, why));
    }
    let entry = app.entry(&asked.case).ok_or_else(|| missing("case"))?;
    let transports = entry.transports().into_iter();
    let named = |transport: &Transport| transport.to_string() == asked.transport;
    let transport = transports.into_iter().find(named);
    let transport =
        transport.ok_or_else(|| wrong("The case is not played over this transport."))?;
    let subjects = app.served.subjects.iter();
    let role = entry.case.role.value;
    let mut fitting = subjects.filter(|subject| subject.role() == role);
    let subject = fitting.find(|subject| subject.name() == asked.subject);
    let request = PlayRequest {
        entry: Arc::clone(entry),
        transport,
        subject: Arc::clone(subject.ok_or_else(|| wrong("The case does not judge this program."))?),
    };
    match app.plays.begin(request) {
        Some(play) => Ok(Redirect::to(&format!("/plays/{}", play.number))),
        None => {
            let why = "Too many cases wait to be played. Try again later.";
            Err(pages::error(StatusCode::TOO_MANY_REQUESTS, why))
        }
    }
}

fn playing(
    State(app): Shared,
    PathParameter(number): PathParameter<u64>,
) -> Ready<Result<Response, Refusal>> {
    ready(play_page(&app, number))
}

fn play_page(app: &App, number: u64) -> Result<Response, Refusal> {
    let play = app.plays.find(number).ok_or_else(|| missing("play"))?;
    match play.end() {
        Some(Ok(_)) => Ok(Redirect::to(&format!("/runs/{}", play.run())).into_response()),
        Some(Err(why)) => Err(pages::error(StatusCode::BAD_GATEWAY, &why)),
        None => Ok(pages::playing(&play).into_response()),
    }
}

fn events(
    State(app): Shared,
    PathParameter(number): PathParameter<u64>,
    headers: HeaderMap,
) -> Ready<Result<Response, Refusal>> {
    ready(event_stream(&app, number, &headers))
}

/// The lines of a play, from the first one that the browser does not have.
fn event_stream(app: &App, number: u64, headers: &HeaderMap) -> Result<Response, Refusal> {
    let play = app.plays.find(number).ok_or_else(|| missing("play"))?;
    // A browser that reconnects sends the number of the last line that it got.
    let last = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok()?.parse().ok());
    let next = last.map_or(0, |last: usize| last.saturating_add(1));
    let (send, receive) = mpsc::channel(16);
    tokio::spawn(send_events(play, next, send));
    let live = KeepAlive::default();
    Ok(Sse::new(Events(receive)).keep_alive(live).into_response())
}

/// Sends the lines of a play as they come, and an event at its end.
async fn send_events(play: Arc<Play>, mut next: usize, send: mpsc::Sender<Event>) {
    let mut changes = play.changes();
    loop {
        changes.mark_unchanged();
        let (lines, over) = play.after(next);
        for line in lines {
            let event = Event::default().event("line").id(next.to_string());
            if send.send(event.data(event_data(&line))).await.is_err() {
                return;
            }
            next += 1;
        }
        if over {
            // If it cannot be sent, the browser has closed the connection.
            let _ = send.send(Event::default().event("over").data("over")).await;
            return;
        }
        tokio::select! {
            () = send.closed() => return,
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}

fn event_data(line: &Line) -> String {
    let arrow = match line.direction {
        Some(Direction::Sent) => "→",
        Some(Direction::Received) => "←",
        None => "·",
    };
    let note = line.note.as_deref().unwrap_or_default();
    let aside = format!("{} {note}", line.rules.join(" "));
    serde_json::json!({
        "at": format!("{:.3}", line.at.as_secs_f64()),
        "actor": line.actor,
        "arrow": arrow,
        "text": line.text,
        "aside": aside,
        "broken": line.broken,
    })
    .to_string()
}

struct Events(mpsc::Receiver<Event>);

impl Stream for Events {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|event| event.map(Ok))
    }
}

fn specification(State(app): Shared) -> Ready<Response> {
    ready(guard::by_itself(spec::render(
        &app.served.rules,
        &app.served.entries,
    )))
}

fn style() -> Ready<impl IntoResponse> {
    let css = [SHARED, STYLE, include_str!("serve/serve.css")].concat();
    ready(([(header::CONTENT_TYPE, "text/css; charset=utf-8")], css))
}

fn script(text: &'static str) -> Ready<impl IntoResponse> {
    ready((
        [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")],
        text,
    ))
}
