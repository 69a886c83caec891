//! From draft to model: defaults, cross references, and every rule that looks at more than one line.
//!
//! The order follows keepalived's: interfaces, the minimum of each instance, its completion, clashes between instances.

mod address;
mod checkers;
mod clash;
mod fifo;
mod global;
mod instance;
mod lvs;
mod mail;
mod scripts;
mod servers;
mod trackers;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::LoadOptions;
use super::draft::Draft;
use super::machine::Machine;
use super::reader::Spanned;
use crate::addr::IfName;
use crate::diag::{Code, Diagnostics, ExitClass, Severity, Span};
use crate::model::vrrp::{Debounce, Pacing};
use crate::model::{Config, Instance, Vrrp};
use crate::time::Duration;
use scripts::Scripts;

/// What all rules share.
struct Context<'a> {
    draft: &'a Draft,
    machine: &'a dyn Machine,
    /// `dynamic_interfaces`
    dynamic: bool,
    /// Interfaces that are named and do not exist.
    missing: BTreeSet<IfName>,
    /// The first `vrrp_script` of each name.
    scripts: BTreeMap<&'a str, (usize, Span)>,
}

/// Where the same thing was before; remembers the place of the first.
fn seen_before<K: Ord>(seen: &mut BTreeMap<K, Span>, key: K, span: Span) -> Option<Span> {
    match seen.entry(key) {
        Entry::Occupied(first) => Some(*first.get()),
        Entry::Vacant(place) => {
            place.insert(span);
            None
        }
    }
}

/// Makes the model. `interfaces` are those named where a missing one stops keepalived.
pub fn resolve(
    draft: &Draft,
    interfaces: &[Spanned<IfName>],
    options: &LoadOptions,
    machine: &dyn Machine,
    diagnostics: &mut Diagnostics,
) -> Config {
    let mut scripts = Scripts::new(machine, &draft.global);
    scripts.check_policy(diagnostics);
    let global = global::resolve(&draft.global, options.config_test, machine, &mut scripts, diagnostics);
    let mut config = Config {
        has_virtual_servers: !draft.virtual_servers.is_empty(),
        has_bfd: !draft.bfd.is_empty(),
        ..Config::default()
    };
    if options.vrrp {
        let dynamic = draft.global.dynamic_interfaces.is_some();
        let missing = missing_interfaces(interfaces, dynamic, machine, diagnostics);
        let names = trackers::by_name(draft.scripts.iter().map(|script| &script.name));
        let context = Context { draft, machine, dynamic, missing, scripts: names };
        config.vrrp = Arc::new(vrrp(&context, &mut scripts, diagnostics));
    }
    config.lvs = Arc::new(lvs::resolve(draft, &config.vrrp, options, machine, &mut scripts, diagnostics));
    trackers::check_bfd(draft, diagnostics);
    scripts.report_unsecured(diagnostics);
    config.global = Arc::new(global);
    refuse_where_asked(draft, options, diagnostics);
    config
}

/// Reports each interface that does not exist, once.
fn missing_interfaces(
    named: &[Spanned<IfName>],
    dynamic: bool,
    machine: &dyn Machine,
    diagnostics: &mut Diagnostics,
) -> BTreeSet<IfName> {
    let mut places: BTreeMap<IfName, Vec<Span>> = BTreeMap::new();
    let mut order = Vec::new();
    for name in named {
        let spans = places.entry(name.value).or_default();
        if spans.is_empty() {
            order.push(name.value);
        }
        spans.push(name.span);
    }
    order.retain(|name| machine.link(name).is_none());
    if !dynamic {
        for name in &order {
            report_missing(*name, &places[name], machine, diagnostics);
        }
    }
    order.into_iter().collect()
}

fn report_missing(name: IfName, places: &[Span], machine: &dyn Machine, diagnostics: &mut Diagnostics) {
    let Some((first, rest)) = places.split_first() else { return };
    let known = machine.link_names();
    let similar = diagnostics.suggest(name.as_str(), known.iter().map(String::as_str));
    let there_are = format!("this machine has {}", known.join(", "));
    let help = match similar {
        Some(similar) => format!("did you mean {similar}? {there_are}"),
        None => format!("{there_are}; dynamic_interfaces in global_defs lets one come later"),
    };
    let diagnostic = diagnostics.reject(Code::UNKNOWN_INTERFACE, *first, format!("interface {name} does not exist"));
    diagnostic.help(help);
    for place in rest.iter().take(3) {
        diagnostic.label(*place, "it is named here, too");
    }
}

/// `reload_check_config` makes every problem a refusal.
fn refuse_where_asked(draft: &Draft, options: &LoadOptions, diagnostics: &mut Diagnostics) {
    let asked = draft.global.reload_check_config.is_some();
    if asked && !options.config_test && diagnostics.has_exit_class() && !diagnostics.refuses_to_run() {
        diagnostics.reject(
            Code::CHECK_REFUSES,
            None,
            "reload_check_config is set, so the problems above refuse this configuration",
        );
    }
}

fn vrrp(context: &Context<'_>, scripts: &mut Scripts<'_>, diagnostics: &mut Diagnostics) -> Vrrp {
    let draft = context.draft;
    let tracked = trackers::scripts(draft, scripts, diagnostics);
    let groups = trackers::sync_groups(draft, scripts, diagnostics);
    let mut used = vec![false; tracked.len()];
    let mut instances = Vec::new();
    for instance in &draft.instances {
        let notify = scripts.notify(&instance.name.value, &instance.notify, diagnostics);
        let work =
            instance::Work::new(instance, context, &tracked, groups.get(instance.name.value.as_str()), diagnostics);
        instances.extend(work.resolve(notify));
    }
    report_vmacs(draft, diagnostics);
    let unusable_files = trackers::check_targets(context, diagnostics);
    trackers::check_other_lists(draft, &unusable_files, diagnostics);
    clash::check(context, &mut instances, diagnostics);
    for instance in &instances {
        for track in &instance.track_scripts {
            used[track.script.0] = true;
        }
    }
    let scripts = trackers::keep_used(draft, tracked, &used, &mut instances, diagnostics);
    // Not collected: that would keep the room of the larger elements.
    let mut shared = Vec::with_capacity(instances.len());
    let micros = Duration::from_micros;
    let debounce = debounce(context, &instances, diagnostics);
    shared.extend(instances.into_iter().map(Arc::new));
    Vrrp {
        pacing: pacing(context, diagnostics),
        default_pacing: Pacing {
            garp_interval: micros(draft.global.garp_interval),
            gna_interval: micros(draft.global.gna_interval),
            group: None,
        },
        debounce,
        startup_delay: micros(draft.global.startup_delay),
        delay_after_boot: micros(draft.global.delay_after_boot),
        log_unknown_vrids: draft.global.log_unknown_vrids,
        receive_buffer: global::receive_buffer(&draft.global),
        dynamic_interfaces: context.dynamic,
        instances: shared,
        scripts,
    }
}

/// Says once that virtual MACs are not built.
fn report_vmacs(draft: &Draft, diagnostics: &mut Diagnostics) {
    let place = |i: &super::draft::InstanceDraft| i.use_vmac.or(i.use_ipvlan.map(|ipvlan| ipvlan.span));
    let mut wanting = draft.instances.iter().filter_map(|i| Some((&i.name.value, place(i)?)));
    let Some((name, span)) = wanting.next() else { return };
    let others = match wanting.count() {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    let text = "virtual MACs are not built yet; addresses answer with the interface's own MAC";
    diagnostics
        .lint(Code::VMAC_NOT_BUILT, span, format!("({name}{others}) {text}"))
        .help("hosts learn of a takeover by gratuitous ARP, as without use_vmac");
}

/// Interfaces that share a pace by `garp_group`.
fn pacing(context: &Context<'_>, diagnostics: &mut Diagnostics) -> BTreeMap<IfName, Pacing> {
    let mut pacing = BTreeMap::new();
    for (number, group) in context.draft.garp_groups.iter().enumerate() {
        if group.garp_interval.is_none() && group.gna_interval.is_none() {
            diagnostics
                .warning(Code::GARP_GROUP, group.span, "garp_group has no interval; it is dropped")
                .help("add garp_interval or gna_interval");
            continue;
        }
        let mut own = BTreeSet::new();
        for name in &group.interfaces {
            let interval = |micros: Option<u64>| Duration::from_micros(micros.unwrap_or(0));
            let entry = Pacing {
                garp_interval: interval(group.garp_interval),
                gna_interval: interval(group.gna_interval),
                group: u32::try_from(number).ok(),
            };
            let taken = *pacing.entry(name.value).or_insert(entry) != entry;
            if !own.insert(name.value) || taken {
                let message = format!("{} is in a garp_group already; this one does not get it", name.value);
                diagnostics.warning(Code::GARP_GROUP, name.span, message);
            }
        }
    }
    pacing
}

/// Delays of links, cut to what the timers of the instances on them allow.
fn debounce(
    context: &Context<'_>,
    instances: &[Instance],
    diagnostics: &mut Diagnostics,
) -> BTreeMap<IfName, Debounce> {
    for name in &context.draft.polled {
        if context.machine.link(&name.value).is_none() {
            diagnostics.classed(
                Severity::Error,
                ExitClass::Fatal,
                Code::UNKNOWN_INTERFACE,
                name.span,
                format!("interface {} does not exist; the line is ignored", name.value),
            );
        }
    }
    let mut limits: BTreeMap<IfName, Duration> = BTreeMap::new();
    for instance in instances {
        let Some(name) = instance.interface else { continue };
        let interval = instance.advert_interval.duration();
        let adverts = u32::from(instance.down_timer_adverts.saturating_sub(1));
        let limit = if adverts == 0 { Duration::ZERO } else { interval * adverts - interval / 256 };
        limits.entry(name).and_modify(|known| *known = limit.min(*known)).or_insert(limit);
    }
    let mut debounce = BTreeMap::new();
    for (name, delays) in &context.draft.delays {
        if context.machine.link(name).is_none() {
            continue;
        }
        let limit = limits.get(name).copied().unwrap_or(Duration::MAX);
        let cut = Debounce { down: delays.value.down.min(limit), up: delays.value.up.min(limit) };
        if cut != delays.value {
            // keepalived: only logged.
            diagnostics
                .lint(Code::DELAYS_ADJUSTED, delays.span, format!("delays of {name} are cut to {limit:?}"))
                .help("a delay must be shorter than the time after which a MASTER counts as gone");
        }
        debounce.insert(*name, cut);
    }
    debounce
}
