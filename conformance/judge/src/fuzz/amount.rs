//! Amount in a session: many tunnels at a time.

use super::draft::Draft;

/// Tunnels that were opened together. Whether the users of the n-th data connection came n-th cannot be told for all of
/// them, so all of them say the same.
#[derive(Debug, Clone)]
pub(super) struct Crowd {
    pub(super) sides: [String; 2],
    pub(super) count: u32,
}

/// What the sizes of an act choose from. A peer has to hold 100 tunnels and 100 mappings in a login; the rest is for what
/// the session has besides.
pub(super) const COUNTS: [u32; 4] = [2, 9, 33, 88];

/// How many mappings are opened together.
pub(super) const MAPS: [u32; 4] = [2, 40, 65, 97];

/// One of four, by the size of an act.
pub(super) fn chosen(counts: [u32; 4], size: u32) -> u32 {
    counts[usize::try_from(size % 4).unwrap_or(0)]
}

impl Crowd {
    /// Each of them carries something both ways.
    pub(super) fn lasts(&self, draft: &mut Draft, rules: &[&'static str]) {
        let [near, far] = &self.sides;
        let steps = [
            (format!("{near} >> \"forth\""), &[] as &[_]),
            (format!("{far} << \"forth\""), rules),
            (format!("{far} >> \"back\""), &[]),
            (format!("{near} << \"back\""), rules),
        ];
        // Whoever is not joined with the other one of a turn gets the same in another turn.
        let [forth, heard, back, answered] = steps;
        for step in [forth, heard, back, answered] {
            draft.block(self.count, false, &[step]);
        }
    }
}
