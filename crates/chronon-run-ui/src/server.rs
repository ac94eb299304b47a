//! The HTTP server: addresses to pages.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use axum::{
    Form, Router,
    body::Body,
    extract::{ConnectInfo, Path, RawQuery, Request, State, connect_info::Connected},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::IncomingStream,
};
use chronon_run_core::epoch_millis;
use chronon_run_ledger::{RunRecord, RunState};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    cache::{Cache, digest},
    frame::{Frame, Page, error_page, whole},
    guard::{Guard, HEADERS, Verdict},
    links::{Links, slug},
    pages::{self, NEWEST, Running},
    shared::Shared,
    source::{Action, PlanForm, Source, Trouble, View},
};

/// How the server behaves.
#[derive(Debug, Default)]
pub struct Settings {
    /// Who may see the pages.
    pub guard: Guard,
    /// Whether runs may be started and stopped from the pages.
    pub allow_runs: bool,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The socket or the threads cannot be used.
    #[error("cannot serve: {0}")]
    Io(#[from] io::Error),
}

struct App {
    source: Arc<dyn Source>,
    shared: Arc<Shared>,
    cache: Cache,
    /// The newest runs, and the version of the ledger that they are of.
    runs: Mutex<(u64, Runs)>,
    settings: Settings,
}

type Runs = Arc<[RunRecord]>;

impl App {
    /// The newest runs, for all viewers. Whether a run still goes on is looked at every other second.
    fn newest_runs(&self) -> Runs {
        let parts = [self.source.stamp(), now().unsigned_abs() / 2_000];
        let version = version(&parts);
        let mut kept = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.0 != version {
            *kept = (version, self.source.runs(NEWEST).into());
        }
        kept.1.clone()
    }
}

/// One number for several.
fn version(parts: &[u64]) -> u64 {
    let bytes: Vec<u8> = parts.iter().flat_map(|part| part.to_le_bytes()).collect();
    digest(&bytes)
}

type Ui = State<Arc<App>>;

/// Largest body of a request.
const BODY: usize = 64 << 10;

/// Answers requests until `stop` is true. The workspace is looked at right away, so that the first page is
/// there at once.
///
/// # Errors
/// [`ServeError`] if the listener cannot be used.
pub fn serve(
    listener: TcpListener,
    source: Arc<dyn Source>,
    settings: Settings,
    stop: impl Fn() -> bool + Send + 'static,
) -> Result<(), ServeError> {
    listener.set_nonblocking(true)?;
    let shared = Arc::new(Shared::new(source.clone()));
    shared.number();
    let app = Arc::new(App {
        source,
        shared,
        cache: Cache::default(),
        runs: Mutex::new((0, Arc::new([]))),
        settings,
    });
    // Pages are rendered on threads of their own, which end when they are not needed.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(4)
        .thread_keep_alive(Duration::from_secs(2))
        .build()?;
    let served = runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let service = router(app).into_make_service_with_connect_info::<Ends>();
        let stopped = async move {
            while !stop() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            served = axum::serve(listener, service).into_future() => served,
            () = stopped => Ok(()),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(served?)
}

fn router(app: Arc<App>) -> Router {
    let mut router = Router::new();
    for (path, kind, bytes) in FILES {
        router = router.route(path, get(async move || file(kind, bytes)));
    }
    router
        .route("/", get(overview))
        .route("/assets", get(assets))
        .route("/asset/{slug}", get(asset))
        .route("/columns/{slug}", get(columns))
        .route("/graph", get(graph))
        .route("/plan", get(plan))
        .route("/diff", get(diff))
        .route("/runs", get(runs))
        .route("/run/{run}", get(run))
        .route("/act/materialize", post(materialize))
        .route("/act/retry", post(retry))
        .route("/act/stop", post(stop))
        .fallback(missing)
        .layer(axum::extract::DefaultBodyLimit::max(BODY))
        .layer(middleware::from_fn_with_state(app.clone(), guarded))
        .with_state(app)
}

/// The files that pages need, with their types.
pub(crate) const FILES: [(&str, &str, &str); 3] = [
    (
        "/static/style.css",
        "text/css; charset=utf-8",
        include_str!("../static/style.css"),
    ),
    (
        "/static/ui.js",
        "text/javascript; charset=utf-8",
        include_str!("../static/ui.js"),
    ),
    (
        "/static/icon.svg",
        "image/svg+xml",
        include_str!("../static/icon.svg"),
    ),
];

fn file(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

/// Both ends of a connection; `None` if the system does not tell.
#[derive(Clone, Copy)]
struct Ends(Option<(SocketAddr, SocketAddr)>);

impl Connected<IncomingStream<'_, tokio::net::TcpListener>> for Ends {
    fn connect_info(stream: IncomingStream<'_, tokio::net::TcpListener>) -> Self {
        let own = stream.io().local_addr().ok();
        Self(own.map(|own| (own, *stream.remote_addr())))
    }
}

async fn guarded(
    State(app): Ui,
    ConnectInfo(Ends(ends)): ConnectInfo<Ends>,
    request: Request,
    next: Next,
) -> Response {
    let query = request.uri().query().unwrap_or("");
    let guard = &app.settings.guard;
    let verdict = match guard.judge_user(ends) {
        Verdict::Pass => guard.judge(request.method(), request.headers(), query),
        refused => refused,
    };
    let mut response = match verdict {
        Verdict::Pass => next.run(request).await,
        Verdict::Welcome(cookie) => welcome(request.uri().path(), query, &cookie),
        Verdict::Refused(status, why) => (status, format!("{why}\n")).into_response(),
    };
    response.headers_mut().extend(HEADERS);
    response
        .headers_mut()
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The same address without the token, and the cookie.
fn welcome(path: &str, query: &str, cookie: &str) -> Response {
    let rest: Vec<&str> = query
        .split('&')
        .filter(|part| !part.starts_with("token="))
        .collect();
    // Relative to this host: `//evil.example` would be another one.
    let path = path.trim_start_matches(['/', '\\']);
    let location = match rest.join("&").as_str() {
        "" => format!("/{path}"),
        rest => format!("/{path}?{rest}"),
    };
    let headers = [
        (header::SET_COOKIE, cookie),
        (header::LOCATION, location.as_str()),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// What a page is rendered from.
struct Asked<'a> {
    app: &'a App,
    frame: Frame<'a>,
    view: &'a View,
    runs: &'a [RunRecord],
    running: &'a Running,
}

/// Milliseconds since the epoch.
pub(crate) fn now() -> i64 {
    epoch_millis(SystemTime::now())
}

/// Renders a page on another thread, unless the browser or the cache has it.
async fn render(
    app: Arc<App>,
    headers: HeaderMap,
    address: String,
    links: Links,
    page: impl FnOnce(&Asked<'_>) -> Result<Page, (StatusCode, Trouble)> + Send + 'static,
) -> Response {
    let done =
        tokio::task::spawn_blocking(move || render_here(&app, &headers, &address, links, page));
    done.await.unwrap_or_else(|_| {
        (
            StatusCode::INTERNAL_SERVER_ERROR,
            "the page failed; please report this\n",
        )
            .into_response()
    })
}

fn render_here(
    app: &App,
    headers: &HeaderMap,
    address: &str,
    links: Links,
    page: impl FnOnce(&Asked<'_>) -> Result<Page, (StatusCode, Trouble)>,
) -> Response {
    let runs = app.newest_runs();
    let running = runs.iter().any(|run| run.state == RunState::Running);
    // While something runs, times go on.
    let tick = if running {
        now() / 2_000
    } else {
        now() / 60_000
    };
    let parts = [app.shared.number(), app.source.stamp(), tick.unsigned_abs()];
    let version = version(&parts);
    let tag = format!("\"{version:016x}\"");
    if headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| known == tag.as_str())
    {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
    }
    if let Some(known) = app.cache.get(address, version) {
        return html(StatusCode::OK, &tag, known.to_string());
    }
    let (found, _) = app.shared.view();
    let view = match found {
        Ok(view) => view,
        Err(found) => return failed(app, links, StatusCode::SERVICE_UNAVAILABLE, &found),
    };
    let running = Running::of(app.source.as_ref(), &runs);
    let asked = Asked {
        app,
        frame: frame(app, &view.name, links),
        view: &view,
        runs: &runs,
        running: &running,
    };
    match page(&asked) {
        Ok(page) => {
            let text: Arc<str> = whole(&asked.frame, &page).into();
            app.cache.keep(address, version, &text);
            html(StatusCode::OK, &tag, text.to_string())
        }
        Err((status, found)) => failed(app, links, status, &found),
    }
}

fn frame<'a>(app: &App, workspace: &'a str, links: Links) -> Frame<'a> {
    Frame {
        links,
        workspace,
        allow_runs: app.settings.allow_runs,
        now: now(),
    }
}

fn failed(app: &App, links: Links, status: StatusCode, found: &Trouble) -> Response {
    let title = match status {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::BAD_REQUEST => "Not understood",
        _ => "Not available",
    };
    let page = error_page(title, found);
    html(status, "", whole(&frame(app, "chronon-run", links), &page))
}

fn html(status: StatusCode, tag: &str, text: String) -> Response {
    let mut response = (
        status,
        [(header::CONTENT_TYPE, "text/html; charset=utf-8")],
        text,
    )
        .into_response();
    if let Ok(tag) = HeaderValue::from_str(tag)
        && status == StatusCode::OK
    {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// The query of an address, or what is wrong with it.
fn parsed<T: DeserializeOwned>(query: &str) -> Result<T, (StatusCode, Trouble)> {
    let uri: axum::http::Uri = format!("/?{query}").parse().map_err(bad)?;
    axum::extract::Query::<T>::try_from_uri(&uri)
        .map(|found| found.0)
        .map_err(bad)
}

fn bad(error: impl ToString) -> (StatusCode, Trouble) {
    let trouble = Trouble {
        message: error.to_string(),
        hint: Some("days are of the form YYYY-MM-DD, steps and attempts are numbers".to_owned()),
    };
    (StatusCode::BAD_REQUEST, trouble)
}

fn not_found(message: String) -> (StatusCode, Trouble) {
    let hint = Some("it may have been removed since the link was made".to_owned());
    (StatusCode::NOT_FOUND, Trouble { message, hint })
}

/// The part of a query that forms send empty when nothing is typed.
fn without_empty(query: Option<String>) -> String {
    let query = query.unwrap_or_default();
    let parts: Vec<&str> = query
        .split('&')
        .filter(|part| !part.ends_with('='))
        .collect();
    parts.join("&")
}

async fn overview(State(app): Ui, headers: HeaderMap) -> Response {
    render(app, headers, "/".to_owned(), Links::top(), |asked| {
        Ok(pages::overview::page(
            &asked.frame,
            asked.view,
            asked.runs,
            asked.running,
        ))
    })
    .await
}

/// Renders a page that a query limits.
async fn limited<T: DeserializeOwned>(
    app: Arc<App>,
    headers: HeaderMap,
    path: String,
    links: Links,
    query: Option<String>,
    page: impl FnOnce(&Asked<'_>, &T) -> Result<Page, (StatusCode, Trouble)> + Send + 'static,
) -> Response {
    let query = without_empty(query);
    let address = format!("{path}?{query}");
    render(app, headers, address, links, move |asked| {
        page(asked, &parsed(&query)?)
    })
    .await
}

async fn assets(State(app): Ui, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    limited(
        app,
        headers,
        "/assets".to_owned(),
        Links::top(),
        query,
        |asked, wanted| {
            let source = asked.app.source.as_ref();
            Ok(pages::assets::page(
                &asked.frame,
                asked.view,
                source,
                asked.running,
                wanted,
            ))
        },
    )
    .await
}

async fn asset(
    State(app): Ui,
    headers: HeaderMap,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let path = format!("/asset/{name}");
    limited(
        app,
        headers,
        path,
        Links::below(),
        query,
        move |asked, wanted| {
            let mut known = asked.view.rows.iter().map(|row| &row.asset);
            let known = known.find(|asset| slug(asset) == name);
            let source = asked.app.source.as_ref();
            let page = known.and_then(|asset| {
                pages::asset::page(
                    &asked.frame,
                    asked.view,
                    source,
                    asked.running,
                    asset,
                    wanted,
                )
            });
            page.ok_or_else(|| not_found("there is no such asset".to_owned()))
        },
    )
    .await
}

async fn columns(State(app): Ui, headers: HeaderMap, Path(name): Path<String>) -> Response {
    let address = format!("/columns/{name}");
    render(app, headers, address, Links::below(), move |asked| {
        let mut known = asked.view.rows.iter().map(|row| &row.asset);
        match known.find(|asset| slug(asset) == name) {
            Some(asset) => {
                let source = asked.app.source.as_ref();
                Ok(pages::columns::page(&asked.frame, source, asset))
            }
            None => Err(not_found("there is no such asset".to_owned())),
        }
    })
    .await
}

async fn graph(State(app): Ui, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    limited(
        app,
        headers,
        "/graph".to_owned(),
        Links::top(),
        query,
        |asked, wanted| {
            let source = asked.app.source.as_ref();
            Ok(pages::graph::page(
                &asked.frame,
                asked.view,
                source,
                asked.running,
                wanted,
            ))
        },
    )
    .await
}

async fn plan(State(app): Ui, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    limited(
        app,
        headers,
        "/plan".to_owned(),
        Links::top(),
        query,
        |asked, wanted| {
            let source = asked.app.source.as_ref();
            Ok(pages::plan::page(&asked.frame, asked.view, source, wanted))
        },
    )
    .await
}

async fn diff(State(app): Ui, headers: HeaderMap) -> Response {
    render(app, headers, "/diff".to_owned(), Links::top(), |asked| {
        Ok(pages::diff::page(&asked.frame, asked.app.source.as_ref()))
    })
    .await
}

async fn runs(State(app): Ui, headers: HeaderMap) -> Response {
    render(app, headers, "/runs".to_owned(), Links::top(), |asked| {
        let runs = asked.app.source.runs(pages::runs::LISTED);
        Ok(pages::runs::page(&asked.frame, &runs))
    })
    .await
}

async fn run(
    State(app): Ui,
    headers: HeaderMap,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let path = format!("/run/{id}");
    limited(
        app,
        headers,
        path,
        Links::below(),
        query,
        move |asked, wanted| {
            let source = asked.app.source.as_ref();
            let found = source
                .run(&id)
                .ok_or_else(|| not_found(format!("there is no run `{id}`")))?;
            Ok(pages::run::page(
                &asked.frame,
                asked.view,
                source,
                &found,
                wanted,
            ))
        },
    )
    .await
}

async fn missing(State(app): Ui) -> Response {
    let found = Trouble {
        message: "there is no such page".to_owned(),
        hint: None,
    };
    failed(&app, Links::top(), StatusCode::NOT_FOUND, &found)
}

/// The fields of forms that act.
#[derive(Deserialize, Default)]
struct ActForm {
    #[serde(default)]
    run: String,
    #[serde(default)]
    select: String,
    #[serde(default)]
    start: String,
    #[serde(default)]
    end: String,
}

async fn materialize(State(app): Ui, Form(form): Form<ActForm>) -> Response {
    let day = |text: &str| match text.trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(bad),
    };
    match (day(&form.start), day(&form.end)) {
        (Ok(start), Ok(end)) => {
            let select = form.select;
            act(app, Action::Materialize(PlanForm { select, start, end })).await
        }
        (Err((status, found)), _) | (_, Err((status, found))) => {
            failed(&app, Links::below(), status, &found)
        }
    }
}

async fn retry(State(app): Ui, Form(form): Form<ActForm>) -> Response {
    act(app, Action::Retry(form.run)).await
}

async fn stop(State(app): Ui, Form(form): Form<ActForm>) -> Response {
    act(app, Action::Stop(form.run)).await
}

async fn act(app: Arc<App>, action: Action) -> Response {
    if !app.settings.allow_runs {
        let found = Trouble {
            message: "these pages only read".to_owned(),
            hint: Some("`chronon-run ui --allow-runs` lets them start and stop runs".to_owned()),
        };
        return failed(&app, Links::below(), StatusCode::FORBIDDEN, &found);
    }
    let acting = app.clone();
    let done = tokio::task::spawn_blocking(move || acting.source.act(&action)).await;
    match done {
        Ok(Ok(_)) => (
            StatusCode::SEE_OTHER,
            [(header::LOCATION, "../runs")],
            Body::empty(),
        )
            .into_response(),
        Ok(Err(found)) => failed(&app, Links::below(), StatusCode::CONFLICT, &found),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
