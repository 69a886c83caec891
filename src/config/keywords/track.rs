//! Trackers: `vrrp_script`, `track_file`, `vrrp_track_process`, the lists that name them, sync groups and track groups.

use super::vrrp::notify;
use super::{
    Block, Entry, Value, flag, list, number, option, option_value, script, seconds, switch, thousandths, value,
};
use crate::config::draft::{NamedList, ScriptDraft, SyncGroupDraft, TrackLine, TrackerDraft};
use crate::config::reader::{Given, Reader, Spanned};
use crate::config::script_line::UserWords;
use crate::config::tree::Word;
use crate::config::value as values;
use crate::diag::Code;
use crate::model::lvs::InitFile;

/// `vrrp_script NAME { }`
pub static VRRP_SCRIPT: Block<ScriptDraft> = Block {
    path: "vrrp_script",
    keywords: &[
        script(
            "script",
            "command to run; exit status 0 is success; a name of the form </FILE only asks whether FILE can be read",
        )
        .default("none; it must be given")
        .ignored_if_missing()
        .then(|s, g, r| {
            if let (Some(before), Some(line)) = (&s.script, g.script()) {
                r.diagnostics
                    .warning(Code::REPEATED, line.span, "script is given twice; the first counts")
                    .label(before.span, "first given here");
            } else {
                s.script = g.script();
            }
        }),
        thousandths("interval", 0, 4_294_000, "from one start to the next; 0 is taken for 1")
            .default("1")
            .unit("seconds")
            .then(|s, g, r| s.interval = above_zero(g, r)),
        thousandths(
            "timeout",
            0,
            4_294_000,
            "run time after which it is stopped and counts as failed; 0 is taken for 1",
        )
        .default("interval")
        .unit("seconds")
        .then(|s, g, r| s.timeout = above_zero(g, r)),
        value(
            "weight",
            Value::Words("<number -253 to 253> [reverse]"),
            "points added on success, or taken away on failure where negative; 0 is FAULT on failure",
        )
        .default("0")
        .unit("priority points")
        .options(&[option("reverse", "success and failure change places").default("off")])
        .then(script_weight),
        number("rise", 1, 2_147_483_647, "successes in a row until it is good")
            .default("1")
            .unit("runs")
            .or_use(1)
            .then(|s, g, _| s.rise = g.plain()),
        number("fall", 1, 2_147_483_647, "failures in a row until it is bad")
            .default("1")
            .unit("runs")
            .or_use(1)
            .then(|s, g, _| s.fall = g.plain()),
        value("user", Value::Words("<user> [[:]<group>]"), "whom it runs as").default("script_user").then(|s, g, _| {
            s.user = user_words(&g.line.args);
        }),
        flag("init_fail", "it counts as failed until it has risen").then(|s, _, _| s.init_fail = true),
    ],
};

/// Thousandths of a second, of which 0 is an error that keepalived mends with a whole second.
fn above_zero(given: &Given<'_>, reader: &mut Reader<'_>) -> Option<u64> {
    let number = given.number::<u64>()?;
    if number.value == 0 {
        reader.diagnostics.warning(Code::BAD_NUMBER, number.span, "0 is no time for a script").help("1 second is used");
        return Some(1000);
    }
    Some(number.value)
}

/// `track_file NAME { }`
pub static TRACK_FILE_BLOCK: Block<TrackerDraft> = Block {
    path: "track_file",
    keywords: &[
        TRACK_FILE_ROWS[0].then(target),
        TRACK_FILE_ROWS[1].then(tracker_weight),
        TRACK_FILE_ROWS[2].then(init_file),
    ],
};

/// `vrrp_track_file NAME { }`, the old name of `track_file`.
pub static VRRP_TRACK_FILE_BLOCK: Block<TrackerDraft> = Block {
    path: "vrrp_track_file",
    keywords: &[
        TRACK_FILE_ROWS[0].then(target),
        TRACK_FILE_ROWS[1].then(tracker_weight),
        TRACK_FILE_ROWS[2].then(init_file),
    ],
};

const TRACK_FILE_ROWS: [Entry; 3] = [
    value("file", Value::Text, "file whose first number counts").default("none; it must be given").ignored_if_missing(),
    value(
        "weight",
        Value::Words("<number -254 to 254> [reverse]"),
        "what the number is multiplied with; 0 makes any other number than 0 a FAULT",
    )
    .default("1")
    .ignored_if_missing()
    .options(&[option("reverse", "the product changes its sign").default("off")]),
    value("init_file", Value::Words("[<number>] [overwrite]"), "make the file at start where there is none")
        .default("off; the number is 0")
        .optional()
        .options(&[
            option("<VALUE>", "number to write").default("0"),
            option("overwrite", "write it over what is there").default("off"),
        ]),
];

/// `vrrp_track_process NAME { }`
pub static VRRP_TRACK_PROCESS: Block<TrackerDraft> = Block {
    path: "vrrp_track_process",
    keywords: &[
        value("process", Value::Text, "name or path of the program, and perhaps arguments it must have")
            .default("none; it must be given")
            .keep(target),
        value("param_match", Value::OneOf(&["initial", "partial"]), "how its arguments are compared")
            .default("off; exactly where no word follows")
            .optional()
            .options(&[
                option("initial", "these are its first arguments, the last may be cut short"),
                option("partial", "these are its first arguments, each may be cut short"),
            ])
            .later(),
        value("weight", Value::Words("<number -254 to 254> [reverse]"), "points for having its quorum")
            .default("0")
            .unit("priority points")
            .ignored_if_missing()
            .options(&[option("reverse", "having and lacking it change places").default("off")])
            .keep(tracker_weight),
        number("quorum", 1, 65_535, "how many must run").default("1").unit("processes").keep(|p, g, r| {
            p.quorum = quorum_in_order(p.quorum_max, g, r, |quorum, most| quorum <= most).or(p.quorum);
        }),
        number("quorum_max", 0, 65_535, "how many may run; 0 is none").default("no limit").unit("processes").keep(
            |p, g, r| p.quorum_max = quorum_in_order(p.quorum, g, r, |most, quorum| quorum <= most).or(p.quorum_max),
        ),
        seconds("delay", 1, 3_600_000_000, "both delays below").default("0").later(),
        seconds("terminate_delay", 1, 3_600_000_000, "how long it may lack its quorum before that counts")
            .default("0")
            .later(),
        seconds("fork_delay", 1, 3_600_000_000, "how long it must have its quorum before that counts")
            .default("0")
            .later(),
        flag("full_command", "compare the command line, not the kernel's short name").later(),
    ],
};

/// `vrrp_sync_group NAME { }`
pub static VRRP_SYNC_GROUP: Block<SyncGroupDraft> = Block {
    path: "vrrp_sync_group",
    keywords: &[
        list("group", "{ <vrrp_instance> ... }", "instances that change state together").keep(|s, g, r| {
            s.members = names_once(s.members.take(), g, r);
        }),
        list(
            "track_interface",
            "{ <interface> [weight <number> [reverse]] ... }",
            "interfaces that count for all members",
        )
        .options(TRACK_INTERFACE)
        .keep(|s, g, r| track_interfaces(&mut s.track_interfaces, g, r)),
        list(
            "track_script",
            "{ <vrrp_script> [weight <number> [reverse|noreverse]] ... }",
            "scripts that count for all members",
        )
        .options(TRACK_SCRIPT)
        .keep(|s, g, r| track_lines(&mut s.track_scripts, g, r, 253)),
        list(
            "track_file",
            "{ <track_file> [weight <number> [reverse|noreverse]] ... }",
            "files that count for all members",
        )
        .options(TRACK_FILE)
        .keep(|s, g, r| track_lines(&mut s.track_files, g, r, 254)),
        list(
            "track_process",
            "{ <vrrp_track_process> [weight <number> [reverse|noreverse]] ... }",
            "processes that count for all members",
        )
        .options(TRACK_PROCESS)
        .keep(|s, g, r| track_processes(&mut s.track_processes, g, r)),
        list(
            "track_bfd",
            "{ <bfd_instance> [weight <number> [reverse|noreverse]] ... }",
            "BFD sessions that count for all members",
        )
        .options(TRACK_BFD)
        .keep(|s, g, r| track_lines(&mut s.track_bfd, g, r, 253)),
        script("notify_backup", "run when the group becomes BACKUP").keep(|s, g, r| notify(&mut s.notify, g, r)),
        script("notify_master", "run when the group becomes MASTER").keep(|s, g, r| notify(&mut s.notify, g, r)),
        script("notify_fault", "run when the group goes to FAULT").keep(|s, g, r| notify(&mut s.notify, g, r)),
        script("notify_stop", "run when the daemon stops").keep(|s, g, r| notify(&mut s.notify, g, r)),
        script("notify", "run on every change, with GROUP, name, state and priority added")
            .keep(|s, g, r| notify(&mut s.notify, g, r)),
        switch("smtp_alert", "mail on changes of the group")
            .default("smtp_alert_vrrp, else smtp_alert, else off")
            .keep(|s, g, _| s.notify.smtp_alert = Some(g.on())),
        flag("global_tracking", "old name of sync_group_tracking_weight")
            .deprecated("sync_group_tracking_weight")
            .keep(|s, _, _| s.tracking_weight = true),
        flag("sync_group_tracking_weight", "members keep the weights of their trackers")
            .keep(|s, _, _| s.tracking_weight = true),
        switch("notify_priority_changes", "write the members' changes of priority to the FIFOs")
            .default("vrrp_notify_priority_changes")
            .keep(|s, g, _| s.notify.priority_changes = Some(g.on())),
    ],
};

/// `track_group NAME { }`
pub static TRACK_GROUP: Block<NamedList> = Block {
    path: "track_group",
    keywords: &[list("group", "{ <vrrp_instance> ... }", "instances that a static address, route or rule speaks of")
        .keep(|t, g, r| t.members = names_once(t.members.take(), g, r))],
};

/// Words of a `track_interface` line.
pub const TRACK_INTERFACE: &[Entry] = &[
    option("<IFNAME>", "interface to look at; without a weight its loss is a FAULT"),
    option_value(
        "weight",
        Value::Number(-253, 253),
        "points added while it is up, or taken away while it is down where negative",
    )
    .default("0: FAULT while it is down")
    .unit("priority points"),
    option("reverse", "up and down change places; directly after the weight").default("off"),
];

/// Words of a `track_script` line.
pub const TRACK_SCRIPT: &[Entry] = &[
    option("<NAME>", "a vrrp_script that is defined further up"),
    option_value("weight", Value::Number(-253, 253), "points instead of the script's own")
        .default("weight of the script")
        .unit("priority points"),
    option("reverse", "success and failure change places").default("as the script says"),
    option("noreverse", "they do not, whatever the script says").default("as the script says"),
];

/// Words of a `track_file` line.
pub const TRACK_FILE: &[Entry] = &[
    option("<NAME>", "a track_file that is defined further up"),
    option_value(
        "weight",
        Value::Number(-254, 254),
        "what its number is multiplied with; 0 makes any other number than 0 a FAULT",
    )
    .default("weight of the track_file"),
    option("reverse", "the product changes its sign").default("as the track_file says"),
    option("noreverse", "it does not, whatever the track_file says").default("as the track_file says"),
];

/// Words of a `track_process` line.
pub const TRACK_PROCESS: &[Entry] = &[
    option("<NAME>", "a vrrp_track_process that is defined further up"),
    option_value("weight", Value::Number(-254, 254), "points instead of the process's own")
        .default("weight of the process")
        .unit("priority points"),
    option("reverse", "having and lacking its quorum change places").default("as the process says"),
    option("noreverse", "they do not, whatever the process says").default("as the process says"),
];

/// Words of a `track_bfd` line.
pub const TRACK_BFD: &[Entry] = &[
    option("<NAME>", "a bfd_instance that is defined further up"),
    option_value("weight", Value::Number(-253, 253), "points instead of the session's own")
        .default("weight of the bfd_instance")
        .unit("priority points"),
    option("reverse", "up and down change places").default("as the bfd_instance says"),
    option("noreverse", "they do not, whatever the bfd_instance says").default("as the bfd_instance says"),
];

/// A user and a group as the words of a line.
pub fn user_words(words: &[Word]) -> Option<UserWords> {
    let spanned = |word: &Word| Spanned::new(word.text.to_string(), word.span);
    words.first().map(|user| UserWords::new(spanned(user), words.get(1).map(spanned)))
}

/// The lines of `track_interface`.
pub fn track_interfaces(into: &mut Vec<TrackLine>, given: &Given<'_>, reader: &mut Reader<'_>) {
    let before = into.len();
    track_lines(into, given, reader, 253);
    for line in &into[before..] {
        if let Ok(name) = line.name.value.parse() {
            reader.interfaces.push(Spanned::new(name, line.name.span));
        } else {
            let message = format!("'{}' cannot be the name of an interface", line.name.value);
            reader.error(Code::BAD_INTERFACE_NAME, line.name.span, message);
        }
    }
}

/// The lines of `track_process`.
pub fn track_processes(into: &mut Vec<TrackLine>, given: &Given<'_>, reader: &mut Reader<'_>) {
    track_lines(into, given, reader, 254);
}

/// The lines of a list of trackers; `limit` is the largest weight.
pub fn track_lines(into: &mut Vec<TrackLine>, given: &Given<'_>, reader: &mut Reader<'_>, limit: i16) {
    let defined_before = reader.defined(given.entry.name);
    for (_, words) in given.entries() {
        let mut words = words.into_iter();
        let Some(name) = words.next() else { continue };
        let name = Spanned::new(name.text.to_string(), name.span);
        let mut line = TrackLine { name, weight: None, reverse: None, defined_before };
        if track_options(&mut line, words, given, reader, limit).is_some() {
            into.push(line);
        }
    }
}

/// The words after a tracker's name; none where the line is to be ignored.
fn track_options<'w>(
    line: &mut TrackLine,
    mut words: impl Iterator<Item = &'w Word>,
    given: &Given<'_>,
    reader: &mut Reader<'_>,
    limit: i16,
) -> Option<()> {
    let keyword = given.entry.name;
    let is_interface = keyword == "track_interface";
    while let Some(word) = words.next() {
        match word.text.as_str() {
            "weight" => {
                let Some(number) = words.next() else {
                    let message = "weight needs a number; the line is ignored";
                    reader.error(Code::MISSING_ARGUMENT, word.span, message);
                    return None;
                };
                line.weight = weight(number, given, reader, limit).or(line.weight);
            }
            "reverse" if !is_interface || line.weight.is_some() => line.reverse = Some(true),
            "noreverse" if !is_interface => line.reverse = Some(false),
            other => {
                let known = given.entry.options.iter().map(|entry| entry.name).filter(|name| !name.starts_with('<'));
                let help = reader.diagnostics.suggest(other, known).map(|similar| format!("did you mean {similar}?"));
                let message = format!("{keyword} does not know '{other}'");
                reader.error(Code::UNKNOWN_OPTION, word.span, message).help = help;
                // A word in the place of `weight` makes the line useless, one after it only itself.
                if line.weight.is_none() && !is_interface {
                    return None;
                }
            }
        }
    }
    Some(())
}

fn weight(word: &Word, given: &Given<'_>, reader: &mut Reader<'_>, limit: i16) -> Option<Spanned<i16>> {
    if limit == 253 && matches!(values::integer(&word.text), values::Number::Whole(-254 | 254)) {
        reader.diagnostics.warning(Code::BAD_NUMBER, word.span, "weight goes from -253 to 253; the nearest is used");
        let value = if word.text.trim().starts_with('-') { -253 } else { 253 };
        return Some(Spanned::new(value, word.span));
    }
    let number = reader.number(given.entry, word, i64::from(-limit), i64::from(limit))?;
    Some(Spanned::new(i16::try_from(number).unwrap_or(0), word.span))
}

fn script_weight(script: &mut ScriptDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let Some((number, rest)) = given.line.args.split_first() else { return };
    script.weight = weight(number, given, reader, 253).map(|weight| weight.value).or(script.weight);
    script.reverse |= reverse_word(rest, given, reader);
}

/// Whether `reverse` follows a weight.
fn reverse_word(rest: &[Word], given: &Given<'_>, reader: &mut Reader<'_>) -> bool {
    match rest.first() {
        None => false,
        Some(word) if word.text == "reverse" => true,
        Some(word) => {
            let message = format!("{} does not know '{}'; the word is ignored", given.entry.name, word.text);
            reader.error(Code::UNKNOWN_OPTION, word.span, message).help("only reverse may follow the number");
            false
        }
    }
}

fn tracker_weight(tracker: &mut TrackerDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let Some((number, rest)) = given.line.args.split_first() else { return };
    if tracker.weight.is_some() {
        reader.diagnostics.warning(Code::REPEATED, number.span, "weight is given twice; the first counts");
        return;
    }
    tracker.weight = weight(number, given, reader, 254).map(|weight| weight.value);
    tracker.reverse = reverse_word(rest, given, reader);
}

fn target(tracker: &mut TrackerDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let Some(text) = given.text() else { return };
    if let Some(before) = &tracker.target {
        reader
            .diagnostics
            .warning(Code::REPEATED, text.span, format!("{} is given twice; the first counts", given.entry.name))
            .label(before.span, "first given here");
        return;
    }
    tracker.target = Some(text);
}

fn init_file(tracker: &mut TrackerDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let mut init = InitFile { value: 0, overwrite: false };
    for word in &given.line.args {
        if word.text == "overwrite" {
            init.overwrite = true;
            continue;
        }
        let (min, max) = (i64::from(i32::MIN), i64::from(i32::MAX));
        let Some(number) = reader.number(given.entry, word, min, max) else { continue };
        init.value = i32::try_from(number).unwrap_or(0);
        if !(-254..=254).contains(&number) {
            reader.diagnostics.warning(Code::BAD_NUMBER, word.span, format!("{number} is beyond every weight"));
        }
    }
    tracker.init = Some(init);
}

fn quorum_in_order(
    other: Option<Spanned<u32>>,
    given: &Given<'_>,
    reader: &mut Reader<'_>,
    in_order: fn(u32, u32) -> bool,
) -> Option<Spanned<u32>> {
    let number = given.number::<u32>()?;
    if let Some(other) = other.filter(|other| !in_order(number.value, other.value)) {
        reader
            .diagnostics
            .warning(Code::BAD_NUMBER, number.span, "quorum is above quorum_max; this line is ignored")
            .label(other.span, "the other one is here");
        return None;
    }
    Some(number)
}

/// The names of a list that may be given once.
pub fn names_once(
    before: Option<Vec<Spanned<String>>>,
    given: &Given<'_>,
    reader: &mut Reader<'_>,
) -> Option<Vec<Spanned<String>>> {
    if before.is_some() {
        reader.diagnostics.warning(
            Code::REPEATED,
            given.line.keyword.span,
            format!("{} is given twice; the first counts", given.entry.name),
        );
        return before;
    }
    Some(names(given))
}

/// The words of a list, any number on a line.
pub fn names(given: &Given<'_>) -> Vec<Spanned<String>> {
    let words = given.entries().flat_map(|(_, words)| words);
    words.map(|word| Spanned::new(word.text.to_string(), word.span)).collect()
}
