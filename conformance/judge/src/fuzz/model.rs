//! The model of the specification, which makes a case of a plan.

use netroxy_specification::notation::ast::Side;

use super::builder::SessionCase;
use super::plan::Plan;
use super::{client, server};

/// The case of a plan: always the same.
pub(super) fn model(plan: &Plan) -> SessionCase {
    match plan.side {
        Side::Server => server::model(plan),
        Side::Client => client::model(plan),
    }
}
