//! The paths of the web interface.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, on};

use super::guard::guard;
use super::state::Web;
use super::{answer, api, metrics, page, requests, stream};

/// The most bytes of the body of a request.
const LONGEST_BODY: usize = 8 * 1024;

/// A path, a method and its handler.
pub(super) struct Route {
    #[cfg(test)]
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    handler: MethodRouter<Arc<Web>>,
}

macro_rules! route {
    ($method:ident $path:literal $handler:expr) => {
        Route {
            #[cfg(test)]
            method: stringify!($method),
            path: $path,
            handler: on(MethodFilter::$method, $handler),
        }
    };
}

/// All routes. `docs/openapi.json` describes those of `/api`, `/health` and `/metrics`.
pub(super) fn all() -> Vec<Route> {
    vec![
        route!(GET "/" page::page),
        route!(GET "/page.css" page::style),
        route!(GET "/page.js" page::script),
        route!(GET "/icon.svg" page::icon),
        route!(GET "/health/live" metrics::live),
        route!(GET "/health/ready" metrics::ready),
        route!(GET "/metrics" metrics::metrics),
        route!(GET "/api/v1/session" api::session),
        route!(POST "/api/v1/session" api::sign_in),
        route!(DELETE "/api/v1/session" api::sign_out),
        route!(GET "/api/v1/status" api::status),
        route!(GET "/api/v1/clients" api::clients),
        route!(GET "/api/v1/clients/{name}/requests" requests::open),
        route!(GET "/api/v1/requests" requests::list),
        route!(POST "/api/v1/requests" requests::ask),
        route!(POST "/api/v1/requests/{id}" requests::decide),
        route!(DELETE "/api/v1/requests/{id}" requests::withdraw),
        route!(GET "/api/v1/mappings" api::mappings),
        route!(POST "/api/v1/mappings/{port}" api::switch),
        route!(GET "/api/v1/tunnels" api::tunnels),
        route!(GET "/api/v1/events" api::events),
        route!(GET "/api/v1/history" api::history),
        route!(GET "/api/v1/stream" stream::stream),
        // The paths of the original server.
        route!(GET "/servers/" page::listeners),
        route!(GET "/server/" page::listener),
        route!(GET "/clients/" page::clients),
        route!(GET "/client/" page::client),
        route!(GET "/mappings/" page::mappings),
        route!(POST "/mapping/" api::original_switch),
    ]
}

pub(super) fn router(web: Arc<Web>) -> Router {
    let with = |router: Router<Arc<Web>>, route: Route| router.route(route.path, route.handler);
    all()
        .into_iter()
        .fold(Router::new(), with)
        .fallback(answer::not_found)
        .method_not_allowed_fallback(answer::method_not_allowed)
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(from_fn_with_state(web.clone(), guard))
        .with_state(web)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_api_document_names_every_route_and_no_other() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
        let document: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(root).unwrap()).unwrap();
        let mut told = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                told.insert((path.clone(), method.to_uppercase()));
            }
        }
        let is_told = |route: &Route| {
            ["/api/", "/health/", "/metrics"]
                .iter()
                .any(|start| route.path.starts_with(start))
        };
        let routes: BTreeSet<_> = all()
            .iter()
            .filter(|route| is_told(route))
            .map(|route| (route.path.to_owned(), route.method.to_owned()))
            .collect();
        assert_eq!(told, routes);
    }
}
