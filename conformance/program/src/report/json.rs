//! The report as JSON; `report.schema.json` describes it.

use super::model::Report;

/// The JSON Schema of the format.
pub(crate) const SCHEMA: &str = include_str!("../../../report.schema.json");

/// The report, indented.
pub(crate) fn render(report: &Report) -> String {
    // Cannot fail: all keys are texts, and all numbers are finite.
    serde_json::to_string_pretty(report).map_or_else(|_| String::new(), |text| text + "\n")
}
