//! Scripts, lists of trackers, sync groups.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::scripts::{Scripts, Tracked};
use super::{Context, seen_before};
use crate::config::draft::{Draft, SyncGroupDraft, TrackLine};
use crate::config::reader::Spanned;
use crate::diag::{Code, Diagnostics, Span};
use crate::model::{Instance, Script, ScriptId};

/// Judges every `vrrp_script`.
pub(super) fn scripts(draft: &Draft, scripts: &mut Scripts<'_>, diagnostics: &mut Diagnostics) -> Vec<Tracked> {
    let mut first = BTreeMap::new();
    let mut judged = Vec::new();
    for script in &draft.scripts {
        let name = &script.name;
        report_same_name(&mut first, "vrrp_script", name, diagnostics);
        judged.push(scripts.tracked(script, diagnostics));
    }
    judged
}

/// Reports a block whose name another has; says whether there is one.
pub(super) fn report_same_name<'n>(
    first: &mut BTreeMap<&'n str, Span>,
    block: &str,
    name: &'n Spanned<String>,
    diagnostics: &mut Diagnostics,
) -> bool {
    let before = seen_before(first, name.value.as_str(), name.span);
    if let Some(before) = before {
        diagnostics
            .own_error(Code::DUPLICATE_NAME, name.span, format!("there is another {block} {}", name.value))
            .label(before, "this first one is used")
            .help("give each its own name");
    }
    before.is_some()
}

/// The sync group of each instance that is in one.
pub(super) fn sync_groups<'d>(
    draft: &'d Draft,
    scripts: &mut Scripts<'_>,
    diagnostics: &mut Diagnostics,
) -> BTreeMap<&'d str, &'d SyncGroupDraft> {
    let instances: BTreeMap<&str, &Spanned<String>> =
        draft.instances.iter().map(|i| (i.name.value.as_str(), &i.name)).collect();
    let mut group_of: BTreeMap<&str, &SyncGroupDraft> = BTreeMap::new();
    for group in &draft.sync_groups {
        let name = &group.name;
        scripts.notify(&name.value, &group.notify, diagnostics);
        let members = group.members.as_deref().unwrap_or_default();
        if members.is_empty() {
            diagnostics
                .warning(
                    Code::SYNC_GROUP,
                    name.span,
                    format!("sync group {} has no members; it is dropped", name.value),
                )
                .help("add group { NAME ... } with the names of its instances");
            continue;
        }
        let mut count = 0;
        for member in members {
            if !instances.contains_key(member.value.as_str()) {
                let known = instances.keys().copied();
                let help = diagnostics.suggest(&member.value, known).map(|name| format!("did you mean {name}?"));
                diagnostics
                    .warning(
                        Code::SYNC_GROUP,
                        member.span,
                        format!("sync group {}: there is no vrrp_instance {}", name.value, member.value),
                    )
                    .help = help;
            } else if let Some(other) = group_of.get(member.value.as_str()) {
                diagnostics
                    .warning(
                        Code::SYNC_GROUP,
                        member.span,
                        format!("{} is in sync group {} already", member.value, other.name.value),
                    )
                    .label(other.name.span, "that group is here");
            } else {
                group_of.insert(&member.value, group);
                count += 1;
            }
        }
        if count < 2 {
            let what = if count == 0 { "no usable member; it is dropped" } else { "one member only" };
            diagnostics.warning(Code::SYNC_GROUP, name.span, format!("sync group {} has {what}", name.value));
        }
    }
    group_of
}

/// What a line of a list means.
pub(super) enum Looked {
    /// The tracker of this number.
    Found(usize),
    /// Not defined, or defined further down at this place.
    Unknown(Option<Span>),
}

/// Looks a line's name up among those defined above it.
pub(super) fn look_up(line: &TrackLine, names: &BTreeMap<&str, (usize, Span)>) -> Looked {
    match names.get(line.name.value.as_str()) {
        Some((number, _)) if *number < line.defined_before => Looked::Found(*number),
        Some((_, span)) => Looked::Unknown(Some(*span)),
        None => Looked::Unknown(None),
    }
}

/// The first definition of each name.
pub(super) fn by_name<'n>(names: impl Iterator<Item = &'n Spanned<String>>) -> BTreeMap<&'n str, (usize, Span)> {
    let mut map = BTreeMap::new();
    for (number, name) in names.enumerate() {
        map.entry(name.value.as_str()).or_insert((number, name.span));
    }
    map
}

/// Reports a line whose tracker is unknown.
pub(super) fn report_unknown<'n>(
    who: &str,
    what: &str,
    line: &TrackLine,
    later: Option<Span>,
    names: impl Iterator<Item = &'n str> + Clone,
    diagnostics: &mut Diagnostics,
) {
    let name = &line.name;
    let message = match later {
        Some(_) => format!("({who}) {what} {} is defined further down; the line is ignored", name.value),
        None => format!("({who}) there is no {what} {}; the line is ignored", name.value),
    };
    let similar = diagnostics.suggest(&name.value, names);
    let diagnostic = diagnostics.error(Code::UNKNOWN_TRACKER, name.span, message);
    match (later, similar) {
        (Some(span), _) => {
            diagnostic.label(span, "it is defined here").help("move its block above this one");
        }
        (None, Some(similar)) => {
            diagnostic.help(format!("did you mean {similar}?"));
        }
        (None, None) => {
            diagnostic.help(format!("define it above this block: {what} {} {{ ... }}", name.value));
        }
    }
}

/// Judges the lists of trackers whose effect is not built yet: their names must be defined.
pub(super) fn check_other_lists(draft: &Draft, unusable: &BTreeSet<&str>, diagnostics: &mut Diagnostics) {
    let mut files = by_name(draft.track_files.iter().map(|t| &t.name));
    files.retain(|name, _| !unusable.contains(name));
    let mut processes = by_name(draft.track_processes.iter().map(|t| &t.name));
    processes.retain(|name, _| !unusable.contains(name));
    let bfd = by_name(draft.bfd.iter().map(|t| &t.name));
    let scripts = by_name(draft.scripts.iter().map(|t| &t.name));
    let mut check = |who: &str, what, lines: &[TrackLine], names: &BTreeMap<&str, (usize, Span)>| {
        let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
        for line in lines {
            match look_up(line, names) {
                Looked::Unknown(later) => {
                    report_unknown(who, what, line, later, names.keys().copied(), diagnostics);
                }
                Looked::Found(_) => {
                    report_repeated(who, what, line, &mut seen, diagnostics);
                }
            }
        }
    };
    for i in &draft.instances {
        check(&i.name.value, "track_file", &i.track_files, &files);
        check(&i.name.value, "vrrp_track_process", &i.track_processes, &processes);
        check(&i.name.value, "bfd_instance", &i.track_bfd, &bfd);
    }
    for g in &draft.sync_groups {
        check(&g.name.value, "vrrp_script", &g.track_scripts, &scripts);
        check(&g.name.value, "track_file", &g.track_files, &files);
        check(&g.name.value, "vrrp_track_process", &g.track_processes, &processes);
        check(&g.name.value, "bfd_instance", &g.track_bfd, &bfd);
    }
}

/// Judges `bfd_instance`s against each other.
pub(super) fn check_bfd(draft: &Draft, diagnostics: &mut Diagnostics) {
    let mut sessions = BTreeMap::new();
    for bfd in &draft.bfd {
        let Some(Some(neighbour)) = bfd.neighbour else { continue };
        let source = bfd.source.map(|source| source.value);
        let session = (neighbour.value, source, bfd.multihop);
        if let Some(first) = seen_before(&mut sessions, session, neighbour.span) {
            let message =
                format!("bfd_instance {}: there is a session with {} already", bfd.name.value, neighbour.value);
            diagnostics.warning(Code::BFD_SESSION, neighbour.span, message).label(first, "that one is here");
        }
        if let (Some(hops), Some(ttl)) = (bfd.max_hops, bfd.ttl)
            && hops.value > i16::from(ttl)
        {
            let message = format!("bfd_instance {}: max_hops is above ttl; {ttl} is used", bfd.name.value);
            diagnostics.warning(Code::BFD_SESSION, hops.span, message);
        }
    }
}

/// Judges `track_file`s and `vrrp_track_process`es: they must look at something. Those that cannot be used come back.
pub(super) fn check_targets<'a>(context: &Context<'a>, diagnostics: &mut Diagnostics) -> BTreeSet<&'a str> {
    let draft = context.draft;
    let files = draft.track_files.iter().map(|tracker| (tracker, "track_file", "file"));
    let processes = draft.track_processes.iter().map(|tracker| (tracker, "vrrp_track_process", "process"));
    let mut unusable = BTreeSet::new();
    let mut first: BTreeMap<&str, BTreeMap<&str, Span>> = BTreeMap::new();
    for (tracker, block, keyword) in files.chain(processes) {
        if report_same_name(first.entry(block).or_default(), block, &tracker.name, diagnostics) {
            continue;
        }
        let name = tracker.name.value.as_str();
        let Some(target) = &tracker.target else {
            unusable.insert(name);
            let message = format!("{block} {name} has no {keyword}; it is dropped");
            diagnostics
                .warning(Code::TRACKER_INCOMPLETE, tracker.name.span, message)
                .help(format!("add a line: {keyword} ..."));
            continue;
        };
        let directory = Path::new(&target.value).parent().filter(|directory| directory.is_absolute());
        if let (true, Some(directory)) = (keyword == "file", directory)
            && !context.machine.has_directory(directory)
        {
            unusable.insert(name);
            let message = format!("track_file {name}: there is no directory {}; it is dropped", directory.display());
            diagnostics.warning(Code::TRACKER_INCOMPLETE, target.span, message);
        }
    }
    unusable
}

/// Reports a name that a list has twice; says nothing the first time.
pub(super) fn report_repeated<'n>(
    who: &str,
    what: &str,
    line: &'n TrackLine,
    seen: &mut BTreeMap<&'n str, Span>,
    diagnostics: &mut Diagnostics,
) -> bool {
    let before = seen_before(seen, line.name.value.as_str(), line.name.span);
    if let Some(first) = before {
        diagnostics
            .warning(
                Code::TRACKER_IGNORED,
                line.name.span,
                format!("({who}) {what} {} is tracked twice; the first line counts", line.name.value),
            )
            .label(first, "first tracked here");
    }
    before.is_some()
}

/// Leaves out scripts that nobody tracks, and numbers the others anew.
pub(super) fn keep_used(
    draft: &Draft,
    tracked: Vec<Tracked>,
    used: &[bool],
    instances: &mut [Instance],
    diagnostics: &mut Diagnostics,
) -> Vec<Script> {
    let by_group: BTreeSet<&str> =
        draft.sync_groups.iter().flat_map(|g| &g.track_scripts).map(|line| line.name.value.as_str()).collect();
    let mut new_number = vec![None; tracked.len()];
    let mut scripts = Vec::new();
    for (number, tracked) in tracked.into_iter().enumerate() {
        let Tracked::Found(script) = tracked else { continue };
        let name = &draft.scripts[number].name;
        if used[number] {
            new_number[number] = Some(ScriptId(scripts.len()));
            scripts.push(*script);
        } else if !by_group.contains(name.value.as_str()) {
            // keepalived: reported after -t has ended.
            diagnostics
                .lint(
                    Code::SCRIPT_NOT_TRACKED,
                    name.span,
                    format!("nobody tracks vrrp_script {}; it is not run", name.value),
                )
                .help(format!("add track_script {{ {} }} to an instance, or remove the block", name.value));
        }
    }
    for instance in instances {
        for track in &mut instance.track_scripts {
            track.script = new_number[track.script.0].expect("marked as used by this very line");
        }
    }
    scripts
}
