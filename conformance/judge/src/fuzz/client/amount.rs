//! Amount: many tunnels and mappings.

use super::{MANY, World};
use crate::fuzz::amount::{COUNTS, Crowd, MAPS, chosen};

impl World {
    /// Many users of a mapping, one after the other or all at once; their tunnels stay open.
    pub(super) fn crowd(&mut self, pick: u32, size: u32) {
        let Some(map) = self.live(pick) else { return };
        if !self.up || !self.long || self.crowd.is_some() {
            return;
        }
        self.draft.event(&self.table, "Up", "Trq");
        self.draft.event(&self.joined, "Absent", "TrqMapped");
        self.draft.event(&self.joined, "Dialling", "BothOpen");
        let count = chosen(COUNTS, size);
        let (data, target) = (self.draft.kept_name('k'), self.draft.kept_name('l'));
        let rules: &[_] = &["tunnel.capacity"];
        let trq = (format!("{} > TRQ {}", self.control, map.port), &[] as &[_]);
        let accept = (format!("{data} accept"), rules);
        let trs = (format!("{data} < TRS {} {}", self.token, map.port), rules);
        let reached = (format!("{target} accept {}", map.target), rules);
        let draft = &mut self.draft;
        if (pick / 2).is_multiple_of(2) {
            draft.block(count, true, &[trq, accept, trs, reached]);
        } else {
            draft.block(count, false, &[trq]);
            draft.block(count, true, &[accept, trs]);
            draft.block(count, true, &[reached]);
        }
        let sides = [data, target];
        let crowd = Crowd { sides, count };
        crowd.lasts(draft, rules);
        self.crowd = Some(crowd);
    }

    /// A user of each of many mappings.
    pub(super) fn serve_many(&mut self, size: u32) {
        if !self.up || !self.many || std::mem::replace(&mut self.served, true) {
            return;
        }
        self.draft.event(&self.table, "Up", "Trq");
        let (data, target) = (self.draft.name('d'), self.draft.name('t'));
        let rules: &[_] = &["map.capacity"];
        let steps = [
            (format!("{} > TRQ $nth_port", self.control), &[] as &[_]),
            (format!("{data} accept"), rules),
            (format!("{data} < TRS {} $nth_port", self.token), rules),
            (format!("{target} accept $target"), rules),
            (format!("{data} >> \"$nth\""), &[]),
            (format!("{target} << \"$nth\""), rules),
        ];
        let count = chosen(MAPS, size).min(MANY);
        self.draft.block(count, false, &steps);
    }
}
