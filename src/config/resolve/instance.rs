//! One `vrrp_instance`: its minimum, then its completion.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::Context;
use super::address;
use super::scripts::Tracked;
use super::trackers::{Looked, look_up, report_repeated, report_unknown};
use crate::addr::{Family, IfName};
use crate::config::draft::{AuthenticationKind, GarpDraft, GlobalDraft, InstanceDraft, SyncGroupDraft};
use crate::config::machine::Link;
use crate::config::reader::Spanned;
use crate::diag::{Code, Diagnostic, Diagnostics, Span};
use crate::model::vrrp::{
    Authentication, ConfigFault, Destination, Garp, InitialState, OldUnicastChecksum, Peer, Unicast, Version,
};
use crate::model::{Instance, Notify, ScriptId, TrackInterface, TrackScript, Weight};
use crate::time::{Centis, Duration};

const OWNER: u8 = 255;
const DEFAULT_PRIORITY: u8 = 100;
const ETHERNET_MTU: u32 = 1500;
/// `224.0.0.18` and `ff02::12`: RFC 9568 §5.1.1.2, §5.1.2.2.
const GROUP4: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18));
const GROUP6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12));

/// An instance on its way from draft to model.
pub(super) struct Work<'a> {
    draft: &'a InstanceDraft,
    context: &'a Context<'a>,
    global: &'a GlobalDraft,
    tracked: &'a [Tracked],
    group: Option<&'a &'a SyncGroupDraft>,
    diagnostics: &'a mut Diagnostics,
    strict: bool,
    family: Family,
    version: Version,
    interface: Option<(Spanned<IfName>, Option<Link>)>,
    fault: Option<ConfigFault>,
}

/// State, priority and what they allow.
struct Election {
    state: InitialState,
    priority: u8,
    preempt: bool,
    preempt_delay: Duration,
    timer_expired_backup: Option<u8>,
    owner_ignore_adverts: bool,
}

impl<'a> Work<'a> {
    pub(super) fn new(
        draft: &'a InstanceDraft,
        context: &'a Context<'a>,
        tracked: &'a [Tracked],
        group: Option<&'a &'a SyncGroupDraft>,
        diagnostics: &'a mut Diagnostics,
    ) -> Self {
        let global = &context.draft.global;
        let strict = draft.strict.unwrap_or(global.strict);
        let (family, version) = (Family::V4, Version::V2);
        let (interface, fault) = (None, None);
        Self { draft, context, global, tracked, group, diagnostics, strict, family, version, interface, fault }
    }

    /// The model of the instance; none where it cannot be one, and then the rest of it has been judged all the same.
    pub(super) fn resolve(mut self, notify: Notify) -> Option<Instance> {
        let draft = self.draft;
        self.interface();
        let vrid = self.minimum();
        self.family_and_version();
        let election = self.election();
        let advert_interval = self.advert_interval();
        let authentication = self.authentication();
        let destination = self.destination();
        self.not_built();
        let owner = election.priority == OWNER;
        let link = self.interface.as_ref().and_then(|(_, link)| link.clone());
        let (addresses, excluded) = self.addresses(link.as_ref());
        self.source_exists(link.as_ref(), &addresses);
        let lower_prio_no_advert = self.strict_switch(
            draft.lower_prio_no_advert,
            self.global.lower_prio_no_advert,
            ("lower_prio_no_advert", true),
        );
        let higher_prio_send_advert = self.strict_switch(
            draft.higher_prio_send_advert,
            self.global.higher_prio_send_advert,
            ("higher_prio_send_advert", false),
        );
        Some(Instance {
            name: draft.name.value.as_str().into(),
            family: self.family,
            version: self.version,
            interface: self.interface.as_ref().map(|(name, _)| name.value),
            priority: election.priority,
            initial_state: election.state,
            advert_interval,
            preempt: election.preempt,
            preempt_delay: election.preempt_delay,
            authentication,
            addresses,
            excluded,
            destination,
            source: draft.source.map(|source| source.value),
            track_source: draft.track_source && draft.source.is_some(),
            garp: self.garp(),
            track_primary: !draft.dont_track_primary,
            track_interfaces: self.track_interfaces(owner),
            track_scripts: self.track_scripts(owner),
            down_timer_adverts: self.down_timer_adverts(),
            timer_expired_backup: election.timer_expired_backup,
            accept: self.accepts(owner),
            skip_check_adv_addr: draft.skip_check_adv_addr.unwrap_or(self.global.skip_check_adv_addr),
            strict: self.strict,
            higher_prio_send_advert,
            lower_prio_no_advert,
            owner_ignore_adverts: election.owner_ignore_adverts,
            v3_checksum_as_v2: draft.v3_checksum_as_v2.unwrap_or(self.global.v3_checksum_as_v2),
            old_unicast_checksum: draft.old_unicast_checksum.unwrap_or(OldUnicastChecksum::Auto),
            promote_secondaries: draft.promote_secondaries.is_some(),
            kernel_rx_buf_size: draft.kernel_rx_buf_size,
            notify: Arc::new(notify),
            config_fault: self.fault,
            vrid: vrid?,
        })
    }

    fn say(&self, text: impl std::fmt::Display) -> String {
        format!("({}) {text}", self.draft.name.value)
    }

    fn warn(&mut self, code: Code, span: Span, text: impl std::fmt::Display) -> &mut Diagnostic {
        let message = self.say(text);
        self.diagnostics.warning(code, span, message)
    }

    fn lint(&mut self, code: Code, span: Span, text: impl std::fmt::Display) -> &mut Diagnostic {
        let message = self.say(text);
        self.diagnostics.lint(code, span, message)
    }

    fn reject(&mut self, code: Code, span: Span, text: impl std::fmt::Display) -> &mut Diagnostic {
        let message = self.say(text);
        self.diagnostics.reject(code, span, message)
    }

    fn interface(&mut self) {
        let Some(name) = self.draft.interface else { return };
        let link = self.context.machine.link(&name.value);
        if link.as_ref().is_some_and(|link| link.loopback) {
            self.warn(Code::UNSUITABLE_INTERFACE, name.span, format!("{} is a loopback interface", name.value))
                .help("adverts have to reach other routers; name the interface of their LAN");
            return;
        }
        self.interface = Some((name, link));
    }

    /// What an instance cannot do without; its number where it has all.
    fn minimum(&mut self) -> Option<u8> {
        let draft = self.draft;
        let name = draft.name.span;
        if draft.vrid.is_none() {
            self.reject(Code::INCOMPLETE_INSTANCE, name, "it has no virtual_router_id")
                .help("add virtual_router_id NUMBER, 1 to 255, the same on all routers of this group");
        }
        if self.interface.is_none() {
            self.without_interface(name);
        }
        draft.vrid.map(|vrid| vrid.value).filter(|_| self.interface.is_some() || draft.unicast_keyword.is_some())
    }

    fn without_interface(&mut self, span: Span) {
        let draft = self.draft;
        if draft.unicast_keyword.is_none() {
            let known = self.context.machine.link_names().join(", ");
            self.reject(Code::INCOMPLETE_INSTANCE, span, "it has no interface")
                .help(format!("add interface NAME; this machine has {known}"));
            return;
        }
        match draft.source.map(|source| source.value) {
            None => {
                self.reject(Code::INCOMPLETE_INSTANCE, span, "without an interface it needs a source address")
                    .help("add unicast_src_ip ADDRESS, or interface NAME");
            }
            Some(IpAddr::V6(source)) if source.is_unicast_link_local() => {
                self.reject(Code::INCOMPLETE_INSTANCE, span, "a link-local source address needs an interface");
            }
            Some(_) => {}
        }
    }

    fn family_and_version(&mut self) {
        let draft = self.draft;
        self.family = draft.family.map_or(Family::V4, |family| family.value);
        let by_default = match self.family {
            Family::V6 => Version::V3,
            Family::V4 => self.global.version.map_or(Version::V2, |version| version.value),
        };
        self.version = draft.version.map_or(by_default, |version| version.value);
        if let Some(version) = draft.version
            && self.strict
            && self.family == Family::V6
            && self.version == Version::V2
        {
            self.version = Version::V3;
            self.warn(Code::STRICT_MODE, version.span, "strict mode: IPv6 needs VRRPv3, which is used");
        }
    }

    fn election(&mut self) -> Election {
        let draft = self.draft;
        let asked = draft.state.map(|state| state.value);
        let priority = draft.priority.map_or_else(
            || if asked == Some(InitialState::Master) { OWNER } else { DEFAULT_PRIORITY },
            |priority| priority.value,
        );
        let owner = priority == OWNER;
        let natural = if owner { InitialState::Master } else { InitialState::Backup };
        let mut state = asked.unwrap_or(natural);
        if self.strict && state != natural {
            let span = draft.state.map_or(draft.name.span, |state| state.span);
            let word = if owner { "MASTER" } else { "BACKUP" };
            self.warn(Code::STRICT_MODE, span, format!("strict mode: priority {priority} starts as {word}"))
                .help("in strict mode state MASTER goes with priority 255 only");
            state = natural;
        }
        if draft.authentication.kind.is_some_and(|kind| kind.value == AuthenticationKind::Ah)
            && state == InitialState::Master
            && !owner
            && self.version == Version::V2
            && draft.authentication.password.is_some()
            && !self.strict
        {
            let span = draft.state.map_or(draft.name.span, |state| state.span);
            self.warn(Code::AUTHENTICATION_UNUSED, span, "with AH it starts as BACKUP");
            state = InitialState::Backup;
        }
        let preempt = self.preempt(state, owner);
        let preempt_delay = self.preempt_delay(state, preempt);
        let timer_expired_backup = draft.timer_expired_backup.filter(|given| {
            if preempt {
                self.warn(Code::PREEMPTION_CONFLICT, given.span, "timer_expired_backup works with nopreempt only");
            }
            !preempt
        });
        Election {
            state,
            priority,
            preempt,
            preempt_delay,
            timer_expired_backup: timer_expired_backup.map(|given| given.value),
            owner_ignore_adverts: self.owner_ignore_adverts(owner),
        }
    }

    fn preempt(&mut self, state: InitialState, owner: bool) -> bool {
        let Some(span) = self.draft.nopreempt else { return true };
        if owner {
            self.warn(Code::PREEMPTION_CONFLICT, span, "nopreempt does not work with priority 255; it is ignored")
                .help("remove nopreempt, or take a priority below 255");
        } else if state == InitialState::Master {
            self.warn(Code::PREEMPTION_CONFLICT, span, "nopreempt does not work with state MASTER; it is ignored")
                .help("write state BACKUP on both routers; the higher priority becomes MASTER when no other is there");
        }
        owner || state == InitialState::Master
    }

    fn preempt_delay(&mut self, state: InitialState, preempt: bool) -> Duration {
        let Some(delay) = self.draft.preempt_delay.filter(|delay| delay.value > 0) else { return Duration::ZERO };
        let reason = match () {
            () if self.strict => "in strict mode",
            () if state == InitialState::Master => "with state MASTER",
            () if !preempt => "with nopreempt",
            () => return Duration::from_micros(delay.value),
        };
        self.warn(
            Code::PREEMPTION_CONFLICT,
            delay.span,
            format!("preempt_delay does not work {reason}; it is ignored"),
        )
        .help("remove preempt_delay, or write state BACKUP and allow preemption");
        Duration::ZERO
    }

    fn owner_ignore_adverts(&mut self, owner: bool) -> bool {
        match self.draft.owner_ignore_adverts {
            Some(Spanned { value: true, span }) if !owner => {
                self.warn(Code::OWNER_CONFLICT, span, "owner_ignore_adverts works with priority 255 only");
                false
            }
            // keepalived: forces it on here; the file is obeyed.
            Some(Spanned { value: false, span }) if owner => {
                self.warn(
                    Code::OWNER_CONFLICT,
                    span,
                    "the owner of the addresses listens to others, as this line says",
                )
                .help("keepalived itself would ignore this line");
                false
            }
            given => {
                owner && given.map_or(self.global.owner_ignore_adverts.unwrap_or(self.strict), |given| given.value)
            }
        }
    }

    fn advert_interval(&mut self) -> Centis {
        const SECOND: u64 = 1_000_000;
        let Some(given) = self.draft.advert_int else { return Centis(100) };
        let micros = given.value;
        let centis = match self.version {
            Version::V2 => ((micros + SECOND / 2) / SECOND).clamp(1, 255) * 100,
            Version::V3 => ((micros + 5_000) / 10_000).clamp(1, u64::from(Centis::MAX.0)),
        };
        let interval = Centis(u16::try_from(centis).unwrap_or(u16::MAX));
        if centis * 10_000 != micros {
            let why = match self.version {
                Version::V2 => "VRRPv2 carries whole seconds",
                Version::V3 => "VRRPv3 carries hundredths of a second up to 40.95",
            };
            self.warn(Code::INTERVAL_ADJUSTED, given.span, format!("{why}; advert_int {interval} is used"))
                .help("write that value on every router of this group");
        }
        interval
    }

    fn authentication(&mut self) -> Authentication {
        let draft = self.draft;
        let given = &draft.authentication;
        let mut authentication = Authentication::None;
        if let Some(kind) = given.kind {
            let complaint = match &given.password {
                _ if self.strict => Some("strict mode has no authentication; it is not used"),
                _ if self.version == Version::V3 => Some("VRRPv3 has no authentication; it is not used"),
                None => Some("authentication without a password; it is not used"),
                Some(password) if password.value.is_empty() => {
                    Some("authentication without a password; it is not used")
                }
                Some(_) if kind.value == AuthenticationKind::Ah && self.family == Family::V6 => {
                    Some("AH is for IPv4 only; it is not used")
                }
                Some(_) if draft.auth_hmac.is_some() => Some("auth_hmac takes the place of authentication"),
                Some(_) => None,
            };
            match (complaint, kind.value) {
                (Some(complaint), _) => {
                    self.warn(Code::AUTHENTICATION_UNUSED, kind.span, complaint)
                        .help("remove the authentication block, or complete it");
                }
                (None, AuthenticationKind::Pass) => {
                    let password = given.password.as_ref().map_or("", |password| &password.value);
                    let mut bytes = [0; 8];
                    bytes.iter_mut().zip(password.bytes()).for_each(|(to, from)| *to = from);
                    authentication = Authentication::Pass(bytes);
                }
                (None, AuthenticationKind::Ah) => self.refuse_authentication("auth_type AH", kind.span),
            }
        }
        self.hmac();
        authentication
    }

    fn hmac(&mut self) {
        let Some(hmac) = &self.draft.auth_hmac else { return };
        match hmac.active {
            Some(active) if hmac.keys.contains(&active.value) => {
                if let Some(span) = hmac.lenient_mode.filter(|_| self.strict) {
                    self.warn(Code::STRICT_MODE, span, "strict mode: auth_hmac enforces");
                }
                self.refuse_authentication("auth_hmac", hmac.span);
            }
            Some(active) => {
                self.warn(
                    Code::AUTHENTICATION_UNUSED,
                    active.span,
                    format!("auth_hmac has no usable key {}; adverts go unsigned", active.value),
                );
            }
            None => {
                self.warn(Code::AUTHENTICATION_UNUSED, hmac.span, "auth_hmac has no active_key; adverts go unsigned")
                    .help("add active_key NUMBER");
            }
        }
    }

    /// Running without the authentication that the peers expect would silently break the pair.
    fn refuse_authentication(&mut self, what: &str, span: Span) {
        let message = self.say(format_args!("{what} is not built yet; the instance stays in FAULT"));
        self.diagnostics
            .own_error(Code::AUTHENTICATION_NOT_BUILT, span, message)
            .help("without it the other routers would not hear this one, and two would be MASTER");
        self.fault.get_or_insert(ConfigFault(format!("{what} is not built yet")));
    }

    fn destination(&mut self) -> Destination {
        let draft = self.draft;
        let unicast = draft.unicast_keyword.is_some() && !draft.peers.is_empty();
        if unicast {
            return self.unicast();
        }
        if let Some(keyword) = draft.unicast_keyword {
            let without = format!("{} is given, but no unicast_peer", keyword.value);
            if draft.unicast_fault_no_peer {
                self.lint(Code::UNICAST_WITHOUT_PEERS, keyword.span, format!("{without}; it stays in FAULT"));
                self.fault.get_or_insert(ConfigFault("no unicast peer".to_owned()));
            } else {
                self.warn(Code::UNICAST_WITHOUT_PEERS, keyword.span, format!("{without}; multicast is used"))
                    .help("add unicast_peer { ADDRESS } with the other routers, or remove this line");
            }
        }
        if let Some(ttl) = draft.unicast_ttl {
            // keepalived: would send multicast with TTL 0 from here on; the usual 255 is kept.
            self.warn(Code::UNICAST_WITHOUT_PEERS, ttl.span, "unicast_ttl has no meaning without unicast_peer");
        }
        if let Some((name, Some(link))) = &self.interface
            && !link.multicast
        {
            let (name, span) = (name.value, name.span);
            self.warn(
                Code::UNSUITABLE_INTERFACE,
                span,
                format!("{name} cannot multicast; the instance stays in FAULT"),
            )
            .help("name the other routers with unicast_peer");
            self.fault.get_or_insert(ConfigFault(format!("interface {name} cannot multicast")));
        }
        let by_default = match self.family {
            Family::V4 => self.global.mcast_group4.map_or(GROUP4, |group| group.value),
            Family::V6 => self.global.mcast_group6.map_or(GROUP6, |group| group.value),
        };
        Destination::Multicast(draft.mcast_dst.map_or(by_default, |group| group.value))
    }

    fn unicast(&mut self) -> Destination {
        let draft = self.draft;
        if let Some(group) = draft.mcast_dst {
            self.warn(Code::UNICAST_WITHOUT_PEERS, group.span, "mcast_dst_ip has no meaning with unicast peers");
        }
        let multicast = self.interface.as_ref().and_then(|(_, link)| link.as_ref()).is_some_and(|link| link.multicast);
        if self.strict && multicast {
            let span = draft.unicast_keyword.map_or(draft.name.span, |keyword| keyword.span);
            self.reject(Code::STRICT_MODE, span, "strict mode: no unicast on an interface that can multicast")
                .help("remove strict_mode and vrrp_strict, or unicast_peer");
        }
        let own = self.interface.as_ref().and_then(|(_, link)| link.as_ref()).map(|link| link.addresses.clone());
        for peer in draft.peers.iter().map(|peer| peer.address) {
            let is_source = draft.source.is_some_and(|source| source.value == peer.value);
            if is_source || own.iter().flatten().any(|cidr| cidr.address == peer.value) {
                let what = format!("peer {} is an address of this router", peer.value);
                self.lint(Code::OWN_ADDRESS_AS_PEER, peer.span, what).help("name the other routers only");
            }
        }
        let peers: Vec<Peer> = draft
            .peers
            .iter()
            .map(|peer| Peer {
                address: peer.address.value,
                min_ttl: peer.min_ttl.unwrap_or(0),
                max_ttl: peer.max_ttl.unwrap_or(255),
            })
            .collect();
        let limited = draft.peers.iter().any(|peer| peer.min_ttl.is_some() || peer.max_ttl.is_some());
        let check_source = draft.check_unicast_src || self.global.check_unicast_src || limited;
        Destination::Unicast(Unicast { peers, ttl: draft.unicast_ttl.map(|ttl| ttl.value), check_source })
    }

    /// Settings without effect yet that contradict each other, or that change what the network sees.
    fn not_built(&mut self) {
        let draft = self.draft;
        let without_interface = self.interface.is_none();
        if let Some(span) = draft.use_vmac.or(draft.use_ipvlan.map(|ipvlan| ipvlan.span)) {
            if let Some(promote) = draft.promote_secondaries {
                self.warn(
                    Code::VMAC_CONFLICT,
                    promote,
                    "promote_secondaries has no meaning with a VMAC; it is ignored",
                );
            }
            if without_interface {
                self.warn(Code::VMAC_CONFLICT, span, "without an interface there is no VMAC");
            }
        }
        if let Some(span) = draft.vmac_xmit_base
            && (draft.use_vmac.is_none() && draft.use_ipvlan.is_none() || self.strict)
        {
            let why = if self.strict { "in strict mode" } else { "without use_vmac" };
            self.warn(Code::VMAC_CONFLICT, span, format!("vmac_xmit_base has no meaning {why}; it is ignored"));
        }
        if let Some(vrf) = draft.vrf
            && (!without_interface || draft.unicast_keyword.is_none())
        {
            self.warn(Code::UNSUITABLE_INTERFACE, vrf.span, "vrf is for unicast without an interface; it is ignored");
        }
        if let Some(ipvlan) = draft.use_ipvlan
            && self.family == Family::V4
            && ipvlan.address.is_none()
        {
            self.warn(Code::VMAC_CONFLICT, ipvlan.span, "an IPv4 ipvlan needs an address; the instance stays in FAULT");
            self.fault.get_or_insert(ConfigFault("use_ipvlan without an address".to_owned()));
        }
    }

    fn addresses(&mut self, link: Option<&Link>) -> (Vec<address::Shared>, Vec<address::Shared>) {
        let draft = self.draft;
        let header = match (self.family, self.version) {
            (Family::V4, Version::V2) => 20 + 8 + 8,
            (Family::V4, Version::V3) => 20 + 8,
            (Family::V6, _) => 40 + 8,
        };
        let mtu = link.map_or(ETHERNET_MTU, |link| link.mtu);
        let room = (mtu.saturating_sub(header) as usize / self.family.octets()).min(255);
        let own = self.interface.as_ref().map(|(name, _)| name.value);
        let mut set = address::Set::new(&draft.name.value, own, &self.context.missing, self.context.dynamic);
        for line in &draft.addresses {
            set.add(line, true, self.diagnostics);
        }
        for line in &draft.excluded {
            set.add(line, false, self.diagnostics);
        }
        let (mut addresses, mut excluded) = set.finish();
        if let Some(first) = draft.addresses.get(room)
            && addresses.len() > room
        {
            let text = format!("one advert carries {room} addresses; the others are held but not advertised");
            self.warn(Code::TOO_MANY_ADDRESSES, first.cidr.span, text)
                .help("move them to virtual_ipaddress_excluded, on every router");
            let surplus = addresses.split_off(room);
            excluded.splice(0..0, surplus);
        }
        self.has_addresses(addresses.is_empty());
        self.first_is_link_local(addresses.first());
        (addresses, excluded)
    }

    fn has_addresses(&mut self, none: bool) {
        let draft = self.draft;
        let excuse = draft.no_virtual_ipaddress.filter(|span| {
            if self.strict {
                self.warn(Code::STRICT_MODE, *span, "strict mode: no_virtual_ipaddress is ignored");
            }
            !self.strict
        });
        if !none || excuse.is_some() {
            return;
        }
        let help = "add virtual_ipaddress { ADDRESS/PREFIX }";
        if self.strict || self.version == Version::V3 {
            self.reject(Code::NO_ADDRESS, draft.name.span, "it has no virtual address, and VRRPv3 needs one")
                .help(help);
        } else {
            self.warn(Code::NO_ADDRESS, draft.name.span, "it has no virtual address").help(help);
        }
    }

    fn first_is_link_local(&mut self, first: Option<&address::Shared>) {
        let Some(IpAddr::V6(address)) = first.map(|first| first.cidr.address) else { return };
        let span = self.draft.addresses.first().map_or(self.draft.name.span, |line| line.cidr.span);
        if address.is_unicast_link_local() || !self.draft.peers.is_empty() {
            return;
        }
        let text = "the first IPv6 address should be link-local";
        if self.strict {
            self.warn(Code::STRICT_MODE, span, text);
        } else {
            self.lint(Code::STRICT_MODE, span, text).help("RFC 9568 §5.2.9 asks for it; put a fe80:: address first");
        }
    }

    fn source_exists(&mut self, link: Option<&Link>, own: &[address::Shared]) {
        let (Some(link), None, false) = (link, self.draft.source, self.context.dynamic) else { return };
        let Some((name, _)) = &self.interface else { return };
        let (name, span) = (name.value, name.span);
        let usable = |address: IpAddr| match address {
            IpAddr::V4(_) => self.family == Family::V4 && !own.iter().any(|held| held.cidr.address == address),
            IpAddr::V6(address) => self.family == Family::V6 && address.is_unicast_link_local(),
        };
        if !link.addresses.iter().any(|cidr| usable(cidr.address)) {
            let kind = if self.family == Family::V4 { "IPv4" } else { "IPv6 link-local" };
            self.warn(Code::UNSUITABLE_INTERFACE, span, format!("{name} has no {kind} address to send from"))
                .help(format!("give {name} an address; the instance waits for one in FAULT"));
        }
    }

    fn garp(&mut self) -> Garp {
        let own = &self.draft.garp;
        let (all, min) = (&self.global.garp, self.global.min_garp);
        // keepalived: vrrp_min_garp changes what still has the built-in value.
        let built_in = |given: Option<u32>, usual: u32, least: u32| match given {
            Some(given) if !(min && given == usual) => given,
            _ if min => least,
            _ => usual,
        };
        let global_delay = built_in(all.master_delay, 5, 0);
        let global_repeat = built_in(all.master_repeat, 5, 1);
        let (lower_delay, lower_repeat) = self.garp_lower_prio(own, all, global_delay, global_repeat);
        let secs = |secs: u32| Duration::from_secs(secs.into());
        Garp {
            master_delay: secs(own.master_delay.unwrap_or(global_delay)),
            master_repeat: own.master_repeat.unwrap_or(global_repeat).max(1),
            master_refresh: secs(own.master_refresh.unwrap_or(built_in(all.master_refresh, 0, 0))),
            master_refresh_repeat: own.master_refresh_repeat.or(all.master_refresh_repeat).unwrap_or(1).max(1),
            lower_prio_delay: secs(lower_delay),
            lower_prio_repeat: lower_repeat,
        }
    }

    fn garp_lower_prio(&mut self, own: &GarpDraft, all: &GarpDraft, delay: u32, repeat: u32) -> (u32, u32) {
        if self.strict {
            for (given, name) in
                [(own.lower_prio_delay, "garp_lower_prio_delay"), (own.lower_prio_repeat, "garp_lower_prio_repeat")]
            {
                if let Some(given) = given.filter(|given| given.value != 0) {
                    self.warn(Code::STRICT_MODE, given.span, format!("strict mode: {name} is 0"));
                }
            }
            return (0, 0);
        }
        let value = |given: Option<Spanned<u32>>| given.map(|given| given.value);
        (
            value(own.lower_prio_delay).or(value(all.lower_prio_delay)).unwrap_or(delay),
            value(own.lower_prio_repeat).or(value(all.lower_prio_repeat)).unwrap_or(repeat),
        )
    }

    /// A switch that strict mode sets: `(keyword, what strict mode makes it)`.
    fn strict_switch(&mut self, given: Option<Spanned<bool>>, global: bool, strict: (&str, bool)) -> bool {
        let (name, forced) = strict;
        if !self.strict {
            return given.map_or(global, |given| given.value);
        }
        if let Some(given) = given.filter(|given| given.value != forced) {
            let word = if forced { "on" } else { "off" };
            self.warn(Code::STRICT_MODE, given.span, format!("strict mode: {name} is {word}"));
        }
        forced
    }

    fn down_timer_adverts(&mut self) -> u8 {
        let given = self.draft.down_timer_adverts;
        if let Some(given) = given.filter(|given| self.strict && given.value != 3) {
            self.warn(Code::STRICT_MODE, given.span, "strict mode: down_timer_adverts is 3");
        }
        if self.strict {
            return 3;
        }
        given.map(|given| given.value).or(self.global.down_timer_adverts).unwrap_or(3)
    }

    fn accepts(&mut self, owner: bool) -> bool {
        match self.draft.accept {
            Some(Spanned { value: true, span }) if self.strict && self.version == Version::V2 && !owner => {
                self.warn(Code::STRICT_MODE, span, "strict mode: VRRPv2 has no accept mode");
                false
            }
            Some(accept) => accept.value,
            None => !self.strict || owner,
        }
    }

    /// Whether weights have no effect: the priority is fixed, or the members of a sync group share one.
    fn weights_are_ignored(&self, owner: bool) -> Option<&'static str> {
        match self.group {
            _ if owner => Some("with priority 255"),
            Some(group) if !group.tracking_weight => Some("in a sync group without sync_group_tracking_weight"),
            _ => None,
        }
    }

    fn track_interfaces(&mut self, owner: bool) -> Vec<TrackInterface> {
        let (draft, context) = (self.draft, self.context);
        let own = self.interface.as_ref().map(|(name, _)| name.value);
        let mut seen = BTreeMap::new();
        let mut lines = Vec::new();
        for line in &draft.track_interfaces {
            let Ok(interface) = line.name.value.parse::<IfName>() else { continue };
            if own == Some(interface) {
                self.warn(
                    Code::TRACKER_IGNORED,
                    line.name.span,
                    format!("{interface} is its own interface, tracked anyway"),
                )
                .help("remove the line");
                continue;
            }
            if report_repeated(&draft.name.value, "interface", line, &mut seen, self.diagnostics) {
                continue;
            }
            if context.missing.contains(&interface) && !context.dynamic {
                continue;
            }
            let value = line.weight.map_or(0, |weight| weight.value);
            let mut weight = Weight { value, reverse: line.reverse.unwrap_or(false) };
            if let (Some(why), true) = (self.weights_are_ignored(owner), value != 0) {
                let span = line.weight.map_or(line.name.span, |weight| weight.span);
                self.warn(Code::TRACKER_IGNORED, span, format!("the weight of {interface} has no effect {why}"));
                if owner {
                    continue;
                }
                weight.value = 0;
            }
            lines.push(TrackInterface { interface, weight });
        }
        lines
    }

    fn track_scripts(&mut self, owner: bool) -> Vec<TrackScript> {
        let (draft, context) = (self.draft, self.context);
        if draft.track_scripts.is_empty() {
            return Vec::new();
        }
        let names = &context.scripts;
        let mut seen = BTreeMap::new();
        let mut lines = Vec::new();
        for line in &draft.track_scripts {
            let who = &draft.name.value;
            let number = match look_up(line, names) {
                Looked::Found(number) => number,
                Looked::Unknown(later) => {
                    let known = names.keys().copied();
                    report_unknown(who, "vrrp_script", line, later, known, self.diagnostics);
                    continue;
                }
            };
            let script = match &self.tracked[number] {
                Tracked::Found(script) => script,
                Tracked::Dropped => {
                    let text = format!("vrrp_script {} was dropped; the line is ignored", line.name.value);
                    let place = context.draft.scripts[number].name.span;
                    self.warn(Code::UNKNOWN_TRACKER, line.name.span, text).label(place, "this is why");
                    continue;
                }
                Tracked::Disabled => continue,
            };
            if report_repeated(who, "vrrp_script", line, &mut seen, self.diagnostics) {
                continue;
            }
            let value = line.weight.map_or(script.weight.value, |weight| weight.value);
            let weight = Weight { value, reverse: line.reverse.unwrap_or(script.weight.reverse) };
            if let (Some(why), true) = (self.weights_are_ignored(owner), value != 0) {
                let text =
                    format!("weight of vrrp_script {} has no effect {why}; the line is ignored", line.name.value);
                self.warn(Code::TRACKER_IGNORED, line.name.span, text);
                continue;
            }
            lines.push(TrackScript { script: ScriptId(number), weight });
        }
        lines
    }
}
