//! Amounts in a session: many tunnels or mappings at a time.

use super::builder::CaseBuilder;
use super::steps::{expect_bytes, send_bytes, step, text};

/// Tunnels that were opened by one act. It is unknown which user belongs to which data connection, so all of them carry
/// the same bytes.
#[derive(Debug, Clone)]
pub(super) struct TunnelGroup {
    /// The names of both sides; the player appends the number of each tunnel.
    pub(super) sides: [String; 2],
    pub(super) count: u32,
}

/// How many tunnels an act opens. A peer must allow 100 tunnels in a login; the session has others besides.
pub(super) const TUNNELS: [u32; 4] = [2, 9, 33, 88];

/// How many mappings an act opens. A peer must allow 100 mappings in a login.
pub(super) const MAPPINGS: [u32; 4] = [2, 40, 65, 97];

/// The amount that the size of an act selects.
pub(super) fn chosen(counts: [u32; 4], size: u32) -> u32 {
    counts[usize::try_from(size % 4).unwrap_or(0)]
}

impl TunnelGroup {
    /// Each tunnel still carries bytes in both directions.
    pub(super) fn still_works(&self, case: &mut CaseBuilder, rules: &[&'static str]) {
        let [near, far] = &self.sides;
        let (forth, back) = (text("forth"), text("back"));
        // The two sides of a turn may belong to different tunnels. So all sides send before one has to receive.
        let steps = [
            step(near, send_bytes(forth.clone()), &[]),
            step(far, expect_bytes(forth), rules),
            step(far, send_bytes(back.clone()), &[]),
            step(near, expect_bytes(back), rules),
        ];
        for step in steps {
            case.block(self.count, false, [step]);
        }
    }
}
