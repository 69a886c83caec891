//! The top level: every block, and the options of the process.

use super::address::read_lines;
use super::bfd::BFD_INSTANCE;
use super::global::GLOBAL_DEFS;
use super::lvs::{GROUP_LINES, SSL, VIRTUAL_SERVER, group_lines, service_key};
use super::routes::{STATIC_ROUTE_OPTIONS, STATIC_RULE_OPTIONS, check_routes, check_rules};
use super::static_::{DELAYS, GARP_GROUP, LINKBEAT, delays, linkbeat};
use super::track::{
    TRACK_FILE_BLOCK, TRACK_GROUP, VRRP_SCRIPT, VRRP_SYNC_GROUP, VRRP_TRACK_FILE_BLOCK, VRRP_TRACK_PROCESS,
};
use super::vrrp::VRRP_INSTANCE;
use super::{Block, Entry, Keyword, Value, block, flag, list, number, value};
use crate::config::draft::{
    BfdDraft, Draft, GarpGroupDraft, InstanceDraft, NamedList, ScriptDraft, ServerGroupDraft, SslDraft, SyncGroupDraft,
    TrackerDraft, VirtualServerDraft,
};
use crate::config::reader::{Given, Reader, Spanned};
use crate::diag::Code;

/// The options of the process, which hold wherever they stand in the file.
pub static PROCESS: Block<Draft> = Block {
    path: "",
    keywords: &[
        block("global_defs", "{ ... }", "settings of the whole daemon; there may be several such blocks").then(
            |d, g, r| {
                for line in g.body() {
                    let listed = line.body.iter().flat_map(|body| &body.statements);
                    let listed = listed.flat_map(|line| std::iter::once(&line.keyword).chain(&line.args));
                    let words = line.args.iter().chain(listed).map(|word| word.text.to_string()).collect();
                    d.global.given.push((line.keyword.text.to_string(), words));
                }
                r.read_body(&GLOBAL_DEFS, &mut d.global, g);
            },
        ),
        value("net_namespace", Value::Text, "network namespace of every process")
            .default("the one it is started in")
            .ignored_if_missing()
            .then(|d, g, r| {
                if once(d.global.net_namespace.as_ref(), g, r) {
                    d.global.net_namespace = g.text();
                }
            }),
        value("net_namespace_ipvs", Value::Text, "network namespace of the IPVS table")
            .default("the process's own; without a name the default one")
            .optional()
            .then(|d, g, r| {
                if once(d.global.net_namespace_ipvs.as_ref(), g, r) {
                    let name = g.text().unwrap_or(Spanned::new(String::new(), g.span()));
                    d.global.net_namespace_ipvs = Some(name);
                }
            }),
        flag("namespace_with_ipsets", "use ipsets in a namespace even on old kernels").later(),
        flag("use_pid_dir", "pid files in a directory of their own").then(|d, _, _| d.global.use_pid_dir = true),
        value("instance", Value::Text, "name of this daemon where several run; part of the names of pid files")
            .default("none")
            .ignored_if_missing()
            .then(|d, g, r| {
                if once(d.global.instance.as_ref(), g, r) {
                    d.global.instance = g.text();
                }
            }),
        number("child_wait_time", 0, 4_294_967_295, "how long the parent waits for its children at the end")
            .default("5")
            .unit("seconds")
            .then(|d, g, _| d.global.child_wait = g.number()),
        flag("linkbeat_use_polling", "ask for the state of every interface instead of being told").later(),
    ],
};

/// Everything else at the top level.
pub static TOP: Block<Draft> = Block { path: "", keywords: TOP_ROWS };

const TOP_ROWS: &[Keyword<Draft>] = &[
    block("vrrp_instance", "<name> { ... }", "a virtual router").then(|d, g, r| {
        let Some(name) = new_name(g, r) else { return };
        let mut instance = InstanceDraft::new(name);
        r.read_body(&VRRP_INSTANCE, &mut instance, g);
        d.instances.push(instance);
    }),
    block("vrrp_sync_group", "<name> { ... }", "virtual routers that change state together").keep(|d, g, r| {
        let Some(name) = new_name(g, r) else { return };
        let mut group = SyncGroupDraft::new(name);
        r.read_body(&VRRP_SYNC_GROUP, &mut group, g);
        d.sync_groups.push(group);
    }),
    named("vrrp_script", "a script whose result can change priorities").then(|d, g, r| {
        let Some(name) = name(g) else { return };
        let mut script = ScriptDraft::new(name);
        r.read_body(&VRRP_SCRIPT, &mut script, g);
        d.scripts.push(script);
        r.define("track_script");
    }),
    named("track_file", "a file whose number can change priorities").then(|d, g, r| {
        tracker(&TRACK_FILE_BLOCK, &mut d.track_files, "track_file", g, r);
    }),
    named("vrrp_track_file", "old name of track_file").old_name("track_file").then(|d, g, r| {
        tracker(&VRRP_TRACK_FILE_BLOCK, &mut d.track_files, "track_file", g, r);
    }),
    named("vrrp_track_process", "a program whose running can change priorities").keep(|d, g, r| {
        tracker(&VRRP_TRACK_PROCESS, &mut d.track_processes, "track_process", g, r);
    }),
    block("track_group", "<name> { ... }", "virtual routers that static addresses, routes and rules speak of").keep(
        |d, g, r| {
            let Some(name) = new_name(g, r) else { return };
            let mut group = NamedList { name, members: None };
            r.read_body(&TRACK_GROUP, &mut group, g);
            d.track_groups.push(group);
        },
    ),
    list(
        "static_ipaddress",
        "{ <address>[/<prefix>] [<option>...] ... }",
        "addresses that exist while the daemon runs",
    )
    .options(super::static_::STATIC_ADDRESS)
    .keep(|d, g, r| read_lines(&mut d.static_addresses, g, r)),
    list("static_routes", "{ <route> ... }", "routes that exist while the daemon runs")
        .options(STATIC_ROUTE_OPTIONS)
        .keep(|_, g, r| {
            check_routes(g, r);
        }),
    list("static_rules", "{ <rule> ... }", "policy rules that exist while the daemon runs")
        .options(STATIC_RULE_OPTIONS)
        .keep(|_, g, r| {
            check_rules(g, r);
        }),
    block("garp_group", "{ ... }", "interfaces that share the pace of announcements").then(|d, g, r| {
        let span = g.line.keyword.span;
        let mut group = GarpGroupDraft { span, garp_interval: None, gna_interval: None, interfaces: Vec::new() };
        r.read_body(&GARP_GROUP, &mut group, g);
        d.garp_groups.push(group);
    }),
    list("linkbeat_interfaces", "{ <interface> [MII|ETHTOOL|IOCTL] ... }", "interfaces to ask for their state")
        .options(LINKBEAT)
        .keep(linkbeat),
    list(
        "interface_up_down_delays",
        "{ <interface> <seconds> [<seconds>] ... }",
        "how long a change of a link must last",
    )
    .options(DELAYS)
    .then(delays),
    block("SSL", "{ ... }", "client certificate of SSL_GET").then(|d, g, r| {
        let span = g.line.keyword.span;
        if let Some(before) = &d.ssl {
            let message = "there is another SSL block; this one counts";
            r.diagnostics.warning(Code::REPEATED, span, message).label(before.span, "the first one is here");
        }
        let mut ssl = SslDraft::new(span);
        r.read_body(&SSL, &mut ssl, g);
        d.ssl = Some(ssl);
    }),
    named("virtual_server_group", "addresses and marks that make one service").options(GROUP_LINES).then(|d, g, r| {
        let Some(name) = name(g) else { return };
        let mut group = ServerGroupDraft { name, entries: Vec::new() };
        group_lines(&mut group, g, r);
        d.server_groups.push(group);
    }),
    block("virtual_server", "<address> [<port>]|fwmark <number>|group <name> { ... }", "a load-balanced service").then(
        |d, g, r| {
            let Some(key) = service_key(g, r) else { return };
            let mut service = VirtualServerDraft::new(key);
            r.read_body(&VIRTUAL_SERVER, &mut service, g);
            d.virtual_servers.push(service);
        },
    ),
    named("bfd_instance", "a session that tells at once when a neighbour is gone").keep(|d, g, r| {
        let Some(name) = name(g) else { return };
        if name.value.len() > 31 {
            let message = "the name of a bfd_instance has at most 31 characters; the block is skipped";
            r.error(Code::TEXT_TOO_LONG, name.span, message);
            return;
        }
        if let Some(before) = r.named(g.entry.name, &name.value) {
            let message = format!("there is another bfd_instance {}; this one is skipped", name.value);
            r.error(Code::DUPLICATE_NAME, name.span, message).label(before, "the first one is here");
            return;
        }
        let mut bfd = BfdDraft::new(name);
        r.read_body(&BFD_INSTANCE, &mut bfd, g);
        if bfd.is_usable(r.diagnostics) {
            r.name(g.entry.name, &bfd.name);
            r.define("track_bfd");
            d.bfd.push(bfd);
        }
    }),
];

const fn named(name: &'static str, about: &'static str) -> Entry {
    let mut entry = block(name, "<name> { ... }", about);
    entry.missing = super::Missing::Refuse;
    entry
}

/// An option that counts once; says whether this is the first.
fn once(before: Option<&Spanned<String>>, given: &Given<'_>, reader: &mut Reader<'_>) -> bool {
    if let Some(before) = before {
        let message = format!("{} is given twice; the first counts", given.entry.name);
        reader.diagnostics.warning(Code::REPEATED, given.span(), message).label(before.span, "first given here");
    }
    before.is_none()
}

/// The name of a block.
pub(super) fn name(given: &Given<'_>) -> Option<Spanned<String>> {
    given.line.args.first().map(|word| Spanned::new(word.text.to_string(), word.span))
}

/// The name of a block that must have one of its own, and nothing else.
fn new_name(given: &Given<'_>, reader: &mut Reader<'_>) -> Option<Spanned<String>> {
    let keyword = given.entry.name;
    let Some(name) = name(given) else {
        reader
            .error(Code::MISSING_NAME, given.line.keyword.span, format!("{keyword} needs a name; the block is skipped"))
            .help(format!("write {keyword} NAME {{"));
        return None;
    };
    if let Some(extra) = given.line.args.get(1) {
        let message = format!("{keyword} takes one name, and '{}' is another word; the block is skipped", extra.text);
        reader.error(Code::EXTRA_WORDS, extra.span, message).help("put a name with blanks in quotes");
        return None;
    }
    if let Some(before) = reader.named(keyword, &name.value) {
        reader
            .error(
                Code::DUPLICATE_NAME,
                name.span,
                format!("there is another {keyword} '{}'; this one is skipped", name.value),
            )
            .label(before, "the first one is here")
            .help("give each its own name");
        return None;
    }
    reader.name(keyword, &name);
    Some(name)
}

fn tracker(
    block: &'static Block<TrackerDraft>,
    trackers: &mut Vec<TrackerDraft>,
    list: &'static str,
    given: &Given<'_>,
    reader: &mut Reader<'_>,
) {
    let Some(name) = name(given) else { return };
    let mut tracker =
        TrackerDraft { name, target: None, weight: None, reverse: false, init: None, quorum: None, quorum_max: None };
    reader.read_body(block, &mut tracker, given);
    trackers.push(tracker);
    reader.define(list);
}
