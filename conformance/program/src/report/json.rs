//! The report of a run for programs; `report.schema.json` describes it.

use super::model::Report;

/// The JSON Schema of the format.
pub(crate) const SCHEMA: &str = include_str!("../../../report.schema.json");

/// The report, indented.
pub(crate) fn render(report: &Report) -> String {
    // Maps with text as keys, numbers and text: nothing that JSON cannot hold.
    serde_json::to_string_pretty(report).map_or_else(|_| String::new(), |text| text + "\n")
}
