//! Amount: many users, mappings and logins.

use super::{PORTS, World};
use crate::fuzz::amount::{COUNTS, Crowd, MAPS, chosen};

impl World {
    /// Many users come to a port and are served, one after the other or all at once; their tunnels stay open.
    pub(super) fn crowd(&mut self, port: usize, pick: u32, size: u32) {
        let Some((owner, true)) = self.ports[port] else {
            return;
        };
        let Some(login) = self.logins.get(&owner) else {
            return;
        };
        if !self.long || self.crowd.is_some() || self.spoilt[port] || !self.queues[port].is_empty()
        {
            return;
        }
        let (actor, token) = (login.actor.clone(), login.token.clone());
        for (table, state, event) in [
            (&self.tunnels, "Absent", "UserOpen"),
            (&self.tunnels, "Waiting", "TrsGood"),
            (&self.table, "Fresh", "TrsGood"),
        ] {
            self.draft.event(table, state, event);
        }
        let count = chosen(COUNTS, size);
        let (user, data) = (self.draft.kept_name('k'), self.draft.kept_name('l'));
        let connect = format!("{user} connect {}", PORTS[port]);
        let trq = format!("{actor} < TRQ {}", PORTS[port]);
        let open = format!("{data} connect server");
        let trs = format!("{data} > TRS \"${{{token}}}\" {}", PORTS[port]);
        let says = format!("{user} >> \"hello\"");
        let heard = format!("{data} << \"hello\"");
        let draft = &mut self.draft;
        match pick % 2 {
            0 => {
                let rules: &[_] = &["tunnel.capacity"];
                let steps = [
                    (connect, &["map.bound-when-true"] as &[_]),
                    (trq, rules),
                    (open, &[]),
                    (trs, &[]),
                    (says, &[]),
                    (heard, rules),
                ];
                draft.block(count, true, &steps);
            }
            _ => {
                let rules: &[_] = &["tunnel.waiting-capacity"];
                let come = [(connect, &["map.bound-when-true"] as &[_]), (says, &[])];
                draft.block(count, true, &come);
                draft.block(count, false, &[(trq, rules)]);
                draft.block(count, true, &[(open, &[]), (trs, &[])]);
                draft.block(count, false, &[(heard, rules)]);
            }
        }
        let sides = [user, data];
        let crowd = Crowd { sides, count };
        crowd.lasts(draft, &["tunnel.capacity"]);
        self.crowd = Some(crowd);
    }

    /// A login opens many mappings, and each of them leads users to it.
    pub(super) fn maps(&mut self, who: u32, size: u32) {
        let Some(login) = self.logins.get(&who) else {
            return;
        };
        // The ports are the same in each block of a session.
        if !self.long || std::mem::replace(&mut self.rushed, true) {
            return;
        }
        let (actor, token) = (login.actor.clone(), login.token.clone());
        self.draft.event(&self.table, "Control", "Map");
        let count = chosen(MAPS, size);
        let (user, data) = (self.draft.name('u'), self.draft.name('d'));
        let rules: &[_] = &["map.capacity"];
        let map = format!("{actor} > MAP $nth_port 127.0.0.1:9 true");
        let mrs = format!("{actor} < MRS $nth_port true");
        self.draft.block(count, false, &[(map, &[])]);
        let answers: &[_] = &["map.capacity", "map.one-reply", "map.order"];
        self.draft.block(count, false, &[(mrs, answers)]);
        let served = [
            (format!("{user} connect $nth_port"), rules),
            (format!("{actor} < TRQ $nth_port"), rules),
            (format!("{data} connect server"), &[]),
            (format!("{data} > TRS \"${{{token}}}\" $nth_port"), &[]),
            (format!("{user} >> \"$nth\""), &[]),
            (format!("{data} << \"$nth\""), rules),
        ];
        self.draft.block(count, false, &served);
    }

    /// Many clients log in, at a time or in a row.
    pub(super) fn many_logins(&mut self, pick: u32, size: u32) {
        // Those of the session are there too, and a server need not hold more than 16.
        if !self.long || std::mem::replace(&mut self.thronged, true) {
            return;
        }
        self.draft.event(&self.table, "Fresh", "AthGood");
        let m = self.draft.kept_name('m');
        let connect = (format!("{m} connect server"), &[] as &[_]);
        let name = format!("${{name}}-{m}-$nth");
        let ath = (
            format!("{m} > ATH \"{name}\" $username $password"),
            &[] as &[_],
        );
        let ars = format!("{m} < ARS true _ _");
        let close = (format!("{m} > close"), &[] as &[_]);
        match pick % 2 {
            0 => {
                let count = chosen([2, 5, 9, 11], size);
                let rules: &[_] = &["life.client-independence"];
                self.draft.block(count, true, &[connect, ath, (ars, rules)]);
                let alive = [
                    (format!("{m} > SRQ"), &[] as &[_]),
                    (format!("{m} < SRS"), rules),
                ];
                self.draft.block(count, false, &alive);
                self.draft.block(count, false, &[close]);
            }
            _ => {
                let count = chosen([2, 5, 20, 40], size);
                let rules: &[_] = &["auth.ok-reply"];
                let steps = [connect, ath, (ars, rules), close];
                self.draft.block(count, false, &steps);
            }
        }
    }
}
