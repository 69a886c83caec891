//! The stable codes of findings: K1xxx text and structure, K2xxx keywords and values, K3xxx across fields, K4xxx files
//! and scripts, K9xxx notes of ours. A code never changes its meaning; `docs/diagnostics.md` explains each.

use std::fmt;

/// A stable code, printed as `K2001`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u16);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "K{:04}", self.0)
    }
}

/// Declares the codes: number, constant, title, explanation (one line each), in ascending order.
macro_rules! codes {
    ($($number:literal $name:ident $title:literal $explanation:literal;)*) => {
        impl Code {
            $(#[doc = $explanation] pub const $name: Self = Self($number);)*
        }

        /// Every code with its title and explanation, ascending: what `docs/diagnostics.md` is made from.
        pub const ALL: &[(Code, &str, &str)] = &[$((Code::$name, $title, $explanation)),*];
    };
}

codes! {
    // Text and structure.
    1001 LINE_TOO_LONG "line too long" "A line is longer than 64 KiB; it is skipped whole.";
    1002 NUL_BYTE "NUL byte in a line" "A line holds a NUL byte; it is skipped, because nothing can be meant by it.";
    1003 UNMATCHED_QUOTE "unmatched quote" "A double quote is opened and never closed on its line; the line from there on is ignored.";
    1004 DEFINITION_UNFINISHED "definition not finished" "The file ends inside a multi-line definition, whose last line should not end in a backslash.";
    1005 PARAMETER_RECURSION "parameters without end" "Parameters of this line refer to each other in a circle, so their value has no end; the line is skipped.";
    1006 EXPANSION_TOO_LARGE "expansion too large" "Definitions, ~SEQ and ~LST together produce more text than the limit; reading stops there.";
    1007 PARAMETER_ARGUMENTS "bad argument of a predefined parameter" "${_RANDOM min max} takes digits, ${_ENV NAME} one name, the others take nothing; the parameter is not replaced.";
    1008 BAD_SEQUENCE "bad ~SEQ" "~SEQ(NAME, start, step, end) cannot be understood or would never reach its end; the line is skipped.";
    1009 BAD_LIST "bad ~LST" "~LST(NAME, value, ...) or ~LST({A,B}, {1,2}, ...) cannot be understood; the line is skipped.";
    1010 MISSING_OPEN_BRACE "missing '{'" "A block keyword is not followed by '{'; the lines after it are read as its body.";
    1011 UNEXPECTED_OPEN_BRACE "unexpected '{'" "A '{' stands where no block can begin; it is ignored.";
    1012 EXTRA_CLOSE_BRACE "extra '}'" "A '}' closes nothing; it is ignored.";
    1013 MISSING_CLOSE_BRACE "missing '}'" "The text ends while blocks are open; they are completed as if closed.";
    1014 TOO_DEEP "too many levels" "Blocks, definitions or sequences are nested deeper than any configuration needs; the inner text is ignored.";
    1015 TOO_LARGE "too much text" "The configuration has more text or words than the limit; reading stops there.";
    1016 BYTE_ORDER_MARK "byte order mark" "The file begins with a UTF-8 byte order mark, which keepalived takes for part of the first word.";
    1017 STRAY_CONTINUATION "backslash at end of line" "A backslash continues a line only inside a multi-line definition; here it is part of the last word.";
    1018 UNDEFINED_PARAMETER "undefined parameter" "${NAME} is used before NAME is defined; keepalived would cut the line at its braces.";
    1019 BAD_INCLUDE_CHECK "unknown include_check word" "include_check takes read, match, wildcard_match and brace_match, each with + or - before it.";

    // Keywords and values.
    2001 MISSING_ARGUMENT "missing argument" "A keyword lacks an argument it cannot do without.";
    2002 UNKNOWN_KEYWORD "unknown keyword" "A keyword that nobody knows in this block; the line, or the whole block it opens, is skipped.";
    2003 BAD_NUMBER "bad number" "A number is out of its range, has too many decimal places, or is none.";
    2004 BAD_WORD "bad word" "A word is not one of those the keyword takes.";
    2005 BAD_ADDRESS "bad address" "An address is malformed, of the wrong family or of the wrong kind; host names are not looked up.";
    2006 BAD_INTERFACE_NAME "bad interface name" "An interface name has 1 to 15 characters, without blanks, '/' and ':'.";
    2007 TEXT_TOO_LONG "text too long" "A text is longer than the keyword takes; it is cut, or the line is ignored.";
    2008 REPEATED "given more than once" "A keyword that counts once is given again.";
    2009 DEPRECATED "old keyword" "A keyword is an old way to say something, or has no effect any more.";
    2010 UNKNOWN_OPTION "unknown option word" "A word inside a line is not one that this keyword knows there.";
    2011 EXTRA_WORDS "too many words" "More words follow a keyword than it takes.";
    2012 MISSING_NAME "block without name" "A block that needs a name has none; it is skipped.";
    2013 EMPTY_LIST "empty list" "A list has no entries.";
    2014 ADDRESS_OPTION "option does not fit the address" "An option of an address line has no meaning for this address; the option is ignored.";
    2015 BAD_ROUTE "bad route or rule" "A route or rule line is not understood, or lacks what a route or rule needs; it is ignored.";

    // Across fields.
    3001 UNKNOWN_INTERFACE "interface does not exist" "An interface is named that this machine does not have; without dynamic_interfaces the whole VRRP configuration is refused.";
    3002 UNSUITABLE_INTERFACE "interface not suitable" "An interface exists but cannot do what is asked: it is a loopback, cannot multicast or has no address to send from.";
    3003 INCOMPLETE_INSTANCE "instance incomplete" "A vrrp_instance lacks its virtual_router_id, its interface or its source address; the configuration is refused.";
    3004 DUPLICATE_NAME "name taken" "Two blocks of one kind have the same name.";
    3005 FAMILY_CONFLICT "address family does not fit" "The first address of an instance makes it IPv4 or IPv6; this one is of the other family.";
    3006 VERSION_CONFLICT "version does not fit" "The protocol version contradicts an earlier line or the address family.";
    3007 PREEMPTION_CONFLICT "options about preemption contradict each other" "nopreempt, preempt_delay and timer_expired_backup need an initial state or priority that they can work with; the one that cannot is ignored.";
    3008 INTERVAL_ADJUSTED "interval adjusted" "The protocol version cannot carry this advertisement interval; the nearest one is used.";
    3009 AUTHENTICATION_UNUSED "authentication not used" "The authentication of an instance is incomplete, contradicts the protocol version or another line; adverts go without it.";
    3010 UNICAST_WITHOUT_PEERS "unicast without peers" "A keyword about unicast is given, but no peer.";
    3011 DUPLICATE_ADDRESS "address given twice" "The same address is listed twice; the second is ignored.";
    3012 NO_ADDRESS "no virtual address" "An instance has no virtual address.";
    3013 ADDRESS_WITHOUT_INTERFACE "address without interface" "An address has nowhere to go; it is ignored.";
    3014 TOO_MANY_ADDRESSES "too many addresses for one advert" "More virtual addresses than an advert can carry; the surplus is held but not advertised.";
    3015 UNKNOWN_TRACKER "tracker not defined" "A track_* list names something that is not defined further up; the line is ignored.";
    3016 TRACKER_IGNORED "tracker has no effect" "A tracked object can have no effect here: it is named twice, it is the own interface, or a weight meets priority 255.";
    3017 VRID_CLASH "virtual router defined twice" "Two instances are the same virtual router on the same LAN; the configuration is refused.";
    3018 STRICT_MODE "against strict mode" "A setting contradicts strict mode and is changed.";
    3019 OWNER_CONFLICT "setting contradicts priority" "A setting has a meaning only with priority 255, or only without it.";
    3020 SYNC_GROUP "sync group" "A vrrp_sync_group has no members, or members that are unknown, taken or do not go together.";
    3021 GLOBAL_CONFLICT "global settings contradict each other" "Two settings of global_defs exclude each other; one is dropped.";
    3022 VIRTUAL_SERVER "virtual server" "A virtual_server is incomplete or contradicts itself; it is completed or dropped.";
    3023 REAL_SERVER "real server" "A real_server or sorry_server does not fit its service; it is changed or dropped.";
    3024 CHECKER "health checker" "A checker is incomplete; it is dropped.";
    3025 BFD_SESSION "BFD session" "A bfd_instance is incomplete or contradicts itself; it is changed or dropped.";
    3026 TRACKER_INCOMPLETE "tracker incomplete" "A vrrp_script, track_file or vrrp_track_process lacks what it is about; it is dropped.";
    3027 GARP_GROUP "garp_group" "A garp_group has no interval, or an interface that cannot be in it.";
    3028 DELAYS_ADJUSTED "link delays adjusted" "Link delays are longer than the advertisement timers allow; they are cut.";
    3029 CHECK_REFUSES "refused because reload_check_config is set" "With reload_check_config every problem of the configuration refuses it.";
    3030 VMAC_CONFLICT "option about VMACs does not fit" "An option about virtual MACs or ipvlans contradicts another; it is ignored.";
    3031 OWN_ADDRESS_AS_PEER "own address as peer" "A unicast peer is this router itself: the file of another router was probably copied unchanged.";
    3032 FIFO "notify FIFO" "Two FIFOs have the same path, or a program that shall read a FIFO has none to read; it is not started.";
    3033 SYNC_DAEMON "IPVS sync daemon" "lvs_sync_daemon names an instance that does not exist; it is dropped.";

    // Files and scripts.
    4001 NO_CONFIGURATION "configuration not found" "The configuration file does not exist or cannot be read.";
    4002 INCLUDE_NO_MATCH "include without match" "An include names a file that does not exist, or a pattern that matches none.";
    4003 FILE_REFUSED "file not read" "A file is a directory, has an execute bit, is irregular, too large or unreadable; it is skipped.";
    4004 INCLUDE_TOO_DEEP "includes too deep" "Files include each other deeper than the limit, probably in a circle; the innermost is skipped.";
    4005 TOO_MANY_FILES "too many files" "More files are included than the limit; the rest is skipped.";
    4006 SEVERAL_FILES "several configuration files" "The name of the configuration matches more than one file; all are read in order.";
    4007 BAD_SCRIPT "script line not understood" "The command of a script cannot be cut into words.";
    4008 UNKNOWN_USER "unknown user or group" "A script shall run as a user or with a group that this machine does not have; it is not run.";
    4009 SCRIPT_UNUSABLE "script cannot be run" "A script does not exist or its user may not execute it; it is not run.";
    4010 SCRIPT_INSECURE "script could be changed by others" "A script that runs as root, or a directory above it, can be changed by somebody else; with enable_script_security it is not run.";
    4011 SCRIPT_SECURITY_OFF "scripts without script security" "Scripts are run, and enable_script_security is not set.";
    4012 SCRIPT_SEARCHED "script looked up in PATH" "A script is given without a directory and was found by searching PATH.";
    4013 SCRIPT_NOT_TRACKED "script not tracked" "A vrrp_script is defined, but no instance tracks it; it is not run.";
    4014 UNKNOWN_HOST "host name unknown" "A host name cannot be looked up on this machine.";

    // Notes of ours.
    9001 NOT_BUILT_YET "not built yet" "A keyword whose effect is not built yet.";
    9002 AUTHENTICATION_NOT_BUILT "authentication not built yet" "AH and auth_hmac are not built yet; running without them would break the pair of routers, so the instance stays in FAULT.";
    9003 VMAC_NOT_BUILT "virtual MAC not built yet" "Virtual MACs and ipvlans are not built yet; the instance runs on its interface's own MAC.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend_so_none_is_given_twice() {
        assert!(ALL.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn every_code_has_a_title_and_a_sentence() {
        for (code, title, explanation) in ALL {
            assert!(!title.is_empty() && explanation.ends_with('.') && !explanation.contains('\n'), "{code}");
        }
    }
}
