//! What has to be asked of the kernel so that its table becomes as it should be.
//!
//! Laws, which the tests hold: carrying a plan out gives what is desired; nothing is planned where nothing is to change;
//! what comes goes in before anything is taken out, so that no part of a plan empties a service which has servers
//! before and after; what stays is edited and keeps its connections and counters.

use std::sync::Arc;

use super::table::{Entry, Table};
use crate::wire::ipvs::{Dest, DestKey, Service, ServiceKey};

/// A change of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// `IPVS_CMD_NEW_SERVICE`
    NewService(ServiceKey, Service),
    /// `IPVS_CMD_SET_SERVICE`
    SetService(ServiceKey, Service),
    /// `IPVS_CMD_DEL_SERVICE`; its destinations go with it.
    DelService(ServiceKey),
    /// `IPVS_CMD_NEW_DEST`
    NewDest(ServiceKey, DestKey, Dest),
    /// `IPVS_CMD_SET_DEST`
    SetDest(ServiceKey, DestKey, Dest),
    /// `IPVS_CMD_DEL_DEST`
    DelDest(ServiceKey, DestKey),
}

impl Op {
    /// The service that it is about.
    pub const fn service(&self) -> &ServiceKey {
        match self {
            Self::NewService(key, _) | Self::SetService(key, _) | Self::DelService(key) => key,
            Self::NewDest(key, ..) | Self::SetDest(key, ..) | Self::DelDest(key, _) => key,
        }
    }

    /// The destination that it is about.
    pub const fn dest(&self) -> Option<&DestKey> {
        match self {
            Self::NewDest(_, dest, _) | Self::SetDest(_, dest, _) | Self::DelDest(_, dest) => Some(dest),
            Self::NewService(..) | Self::SetService(..) | Self::DelService(_) => None,
        }
    }
}

/// How a whole table becomes another.
pub fn plan(owned: &Table, desired: &Table) -> Vec<Op> {
    let mut ops = Vec::new();
    for (key, entry) in desired {
        plan_service(key, owned.get(key), Some(entry), &mut ops);
    }
    for (key, entry) in owned {
        if !desired.contains_key(key) {
            plan_service(key, Some(entry), None, &mut ops);
        }
    }
    ops
}

/// How one service becomes as it should be.
pub fn plan_service(key: &ServiceKey, owned: Option<&Entry>, desired: Option<&Entry>, ops: &mut Vec<Op>) {
    let (owned, desired) = match (owned, desired) {
        (None, None) => return,
        (Some(_), None) => return ops.push(Op::DelService(*key)),
        (None, Some(desired)) => {
            ops.push(Op::NewService(*key, desired.service.clone()));
            ops.extend(desired.dests.iter().map(|(dest, settings)| Op::NewDest(*key, *dest, *settings)));
            return;
        }
        (Some(owned), Some(desired)) => (owned, desired),
    };
    if owned.service != desired.service {
        ops.push(Op::SetService(*key, desired.service.clone()));
    }
    let mut quiet = Vec::new();
    for (dest, settings) in &desired.dests {
        match owned.dests.get(dest) {
            Some(before) if before == settings => {}
            // No more connections for this one: only after others have come.
            Some(_) if settings.weight == 0 => quiet.push(Op::SetDest(*key, *dest, *settings)),
            Some(_) => ops.push(Op::SetDest(*key, *dest, *settings)),
            None => ops.push(Op::NewDest(*key, *dest, *settings)),
        }
    }
    ops.append(&mut quiet);
    let gone = owned.dests.keys().filter(|dest| !desired.dests.contains_key(dest));
    ops.extend(gone.map(|dest| Op::DelDest(*key, *dest)));
}

/// What the kernel does with a table. Changes of what is not there change nothing, nor do additions of what is.
pub fn apply(table: &mut Table, op: &Op) {
    match op {
        Op::NewService(key, service) => {
            let new = || Entry { service: service.clone(), dests: Default::default() };
            table.entry(*key).or_insert_with(new);
        }
        Op::DelService(key) => _ = table.remove(key),
        _ => {
            if let Some(entry) = table.get_mut(op.service()) {
                apply_inside(entry, op);
            }
        }
    }
}

/// As [`apply`] with a service that is shared with others, which keep what they have.
pub(crate) fn apply_shared(owned: &mut Option<Arc<Entry>>, op: &Op) {
    match (op, &mut *owned) {
        (Op::NewService(_, service), None) => {
            *owned = Some(Arc::new(Entry { service: service.clone(), dests: Default::default() }));
        }
        (Op::DelService(_), _) => *owned = None,
        (_, Some(entry)) => apply_inside(Arc::make_mut(entry), op),
        (_, None) => {}
    }
}

fn apply_inside(entry: &mut Entry, op: &Op) {
    match op {
        Op::SetService(_, service) => entry.service = service.clone(),
        Op::NewDest(_, dest, settings) => _ = entry.dests.entry(*dest).or_insert(*settings),
        Op::SetDest(_, dest, settings) => {
            if let Some(there) = entry.dests.get_mut(dest) {
                *there = *settings;
            }
        }
        Op::DelDest(_, dest) => _ = entry.dests.remove(dest),
        Op::NewService(..) | Op::DelService(_) => {}
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::addr::Family;
    use crate::wire::ipvs::Forward;

    /// Few names, so that two tables have much in common.
    pub(crate) fn any_service_key() -> impl Strategy<Value = ServiceKey> {
        let address = (prop_oneof![Just(6_u8), Just(17)], 1_u8..4).prop_map(|(protocol, host)| ServiceKey::Address {
            protocol,
            address: [192, 0, 2, host].into(),
            port: 80,
        });
        let mark =
            prop_oneof![Just(Family::V4), Just(Family::V6)].prop_map(|family| ServiceKey::Mark { family, mark: 7 });
        prop_oneof![3 => address, 1 => mark]
    }

    pub(crate) fn any_entry() -> impl Strategy<Value = Entry> {
        let service = (prop_oneof![Just("rr"), Just("wlc")], 0_u32..3).prop_map(|(scheduler, persistence)| Service {
            scheduler: scheduler.into(),
            flags: u32::from(persistence > 0),
            timeout_secs: persistence,
            netmask: u32::MAX,
            engine: None,
        });
        let forwarding = prop_oneof![
            2 => Just(Forward::Masq),
            2 => Just(Forward::DirectRoute),
            1 => Just(Forward::Gue { port: 6080, flags: 1 }),
        ];
        let dest = (forwarding, 0_u32..3, 0_u32..2).prop_map(|(forwarding, weight, upper_threshold)| Dest {
            forwarding,
            weight,
            upper_threshold,
            lower_threshold: 0,
        });
        let key = (0_u8..5, any::<bool>()).prop_map(|(host, v6)| {
            let address = if v6 { [0xfd00, 0, 0, 0, 0, 0, 0, host.into()].into() } else { [10, 0, 0, host].into() };
            DestKey { address, port: 8080 }
        });
        (service, proptest::collection::btree_map(key, dest, 0..5))
            .prop_map(|(service, dests)| Entry { service, dests: dests.into_iter().collect() })
    }

    fn any_table() -> impl Strategy<Value = Table> {
        proptest::collection::btree_map(any_service_key(), any_entry(), 0..6)
    }

    pub(crate) fn serves(entry: &Entry) -> bool {
        entry.dests.values().any(|dest| dest.weight > 0)
    }

    proptest! {
        #[test]
        fn carrying_a_plan_out_gives_what_is_desired(owned in any_table(), desired in any_table()) {
            let mut table = owned.clone();
            plan(&owned, &desired).iter().for_each(|op| apply(&mut table, op));
            prop_assert_eq!(table, desired);
        }

        #[test]
        fn nothing_is_planned_where_nothing_is_to_change(table in any_table()) {
            prop_assert_eq!(plan(&table, &table), vec![]);
        }

        #[test]
        fn no_part_of_a_plan_empties_a_service_that_has_servers_before_and_after(
            owned in any_table(),
            desired in any_table(),
        ) {
            let mut table = owned.clone();
            let lasting: Vec<_> = desired
                .iter()
                .filter(|(key, entry)| serves(entry) && owned.get(key).is_some_and(serves))
                .map(|(key, _)| *key)
                .collect();
            for op in plan(&owned, &desired) {
                apply(&mut table, &op);
                prop_assert!(lasting.iter().all(|key| table.get(key).is_some_and(serves)), "{op:?} empties {table:?}");
            }
        }

        #[test]
        fn what_comes_goes_in_before_anything_of_its_service_is_taken_out(
            owned in any_table(),
            desired in any_table(),
        ) {
            let mut leaving = BTreeMap::new();
            for op in plan(&owned, &desired) {
                match op {
                    Op::DelDest(key, _) => _ = leaving.insert(key, ()),
                    Op::NewDest(key, ..) => prop_assert!(!leaving.contains_key(&key)),
                    _ => {}
                }
            }
        }

        #[test]
        fn what_stays_is_never_taken_out(owned in any_table(), desired in any_table()) {
            for op in plan(&owned, &desired) {
                match op {
                    Op::DelService(key) => prop_assert!(!desired.contains_key(&key)),
                    Op::DelDest(key, dest) => prop_assert!(!desired[&key].dests.contains_key(&dest)),
                    _ => {}
                }
            }
        }

        #[test]
        fn a_shared_service_changes_as_one_in_a_table_does(
            owned in proptest::option::of(any_entry()),
            desired in proptest::option::of(any_entry()),
        ) {
            let key = ServiceKey::Mark { family: Family::V4, mark: 1 };
            let mut ops = Vec::new();
            plan_service(&key, owned.as_ref(), desired.as_ref(), &mut ops);
            let mut shared = owned.map(Arc::new);
            ops.iter().for_each(|op| apply_shared(&mut shared, op));
            prop_assert_eq!(shared.as_deref(), desired.as_ref());
        }
    }

    #[test]
    fn a_server_whose_family_changes_is_another_server() {
        let key = ServiceKey::Mark { family: Family::V4, mark: 1 };
        let service = Service { scheduler: "rr".into(), flags: 0, timeout_secs: 0, netmask: 0, engine: None };
        let dest = Dest { forwarding: Forward::Ipip, weight: 1, upper_threshold: 0, lower_threshold: 0 };
        let with = |address: &str| {
            let only = DestKey { address: address.parse().unwrap(), port: 0 };
            (only, Entry { service: service.clone(), dests: [(only, dest)].into_iter().collect() })
        };
        let ((old, before), (new, after)) = (with("10.0.0.1"), with("fd00::1"));
        let mut ops = Vec::new();
        plan_service(&key, Some(&before), Some(&after), &mut ops);
        assert_eq!(ops, [Op::NewDest(key, new, dest), Op::DelDest(key, old)]);
    }
}
