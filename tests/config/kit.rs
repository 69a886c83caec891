//! What the tests of this folder share.

use keepalived_rs::config::machine::FakeMachine;
use keepalived_rs::config::source::Memory;
use keepalived_rs::config::{LoadOptions, Loaded, load};
use keepalived_rs::model::{Instance, handover};

/// Reads a text as `-t` does, on a made-up machine with `eth0` and `eth1`.
pub(crate) fn read(text: &str) -> Loaded {
    read_on(&FakeMachine::default(), text)
}

/// Reads a text as `-t` does.
pub(crate) fn read_on(machine: &FakeMachine, text: &str) -> Loaded {
    let options = LoadOptions { config_test: true, working_directory: "/".into(), ..LoadOptions::default() };
    handed_over(load(&mut Memory::of("/k.conf", text), "/k.conf", &options, machine))
}

/// Every configuration that is read can be handed to a child, which takes the same.
pub(crate) fn handed_over(loaded: Loaded) -> Loaded {
    let bytes = handover::to_bytes(&loaded.config).unwrap();
    assert_eq!(handover::from_bytes(&bytes).as_ref(), Ok(&loaded.config));
    assert_eq!(handover::common_from_bytes(&bytes), Ok(loaded.config.clone().without_virtual_servers()));
    loaded
}

/// The findings of a text: code and message.
pub(crate) fn findings(loaded: &Loaded) -> Vec<String> {
    loaded.diagnostics.iter().map(|d| format!("{} {}", d.code, d.message)).collect()
}

/// A complete instance with some more lines in it.
pub(crate) fn instance_with(lines: &str) -> Loaded {
    read(&format!(
        "vrrp_instance V {{\n interface eth0\n virtual_router_id 51\n virtual_ipaddress {{\n  192.0.2.100/24\n }}\n{lines}\n}}\n"
    ))
}

/// The only instance of a configuration.
pub(crate) fn only(loaded: &Loaded) -> &Instance {
    let [instance] = loaded.config.vrrp.instances.as_slice() else { panic!("{:?}", findings(loaded)) };
    instance
}

/// Compares with a file of this folder; `UPDATE_GOLDEN=1` rewrites it.
pub(crate) fn golden(name: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let recorded = std::fs::read_to_string(&path).unwrap_or_default();
    let first = recorded.lines().zip(text.lines()).position(|(a, b)| a != b);
    let place = first.unwrap_or_else(|| recorded.lines().count().min(text.lines().count()));
    assert!(
        recorded == text,
        "{name} differs from line {}:\n  recorded: {:?}\n  now:      {:?}\n(UPDATE_GOLDEN=1 rewrites it)",
        place + 1,
        recorded.lines().nth(place),
        text.lines().nth(place),
    );
}
