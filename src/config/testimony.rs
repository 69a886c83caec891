//! What a machine has answered while a configuration was read: as long as it would answer the same, and the files are
//! the same, there is nothing to be read anew.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::addr::IfName;
use crate::config::machine::{FoundScript, Link, Machine, ScriptProblem, User};

/// Questions with their answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Testimony {
    links: BTreeMap<IfName, Option<Link>>,
    link_names: Option<Vec<String>>,
    users: BTreeMap<String, Option<User>>,
    groups: BTreeMap<String, Option<u32>>,
    own_user: Option<User>,
    own_user_name: Option<String>,
    addresses: BTreeMap<String, Option<IpAddr>>,
    host_name: Option<String>,
    directories: BTreeMap<PathBuf, bool>,
    scripts: BTreeMap<(PathBuf, User, bool), Result<FoundScript, ScriptProblem>>,
}

impl Testimony {
    /// Whether the machine gives the same answers now.
    pub fn still_holds(&self, machine: &dyn Machine) -> bool {
        fn same<K, V: PartialEq>(answers: &BTreeMap<K, V>, ask: impl Fn(&K) -> V) -> bool {
            answers.iter().all(|(question, answer)| ask(question) == *answer)
        }
        self.link_names.as_ref().is_none_or(|names| machine.link_names() == *names)
            && self.own_user.is_none_or(|user| machine.own_user() == user)
            && self.own_user_name.as_ref().is_none_or(|name| machine.own_user_name() == *name)
            && self.host_name.as_ref().is_none_or(|name| machine.host_name() == *name)
            && same(&self.links, |name| machine.link(name))
            && same(&self.users, |name| machine.user(name))
            && same(&self.groups, |name| machine.group(name))
            && same(&self.directories, |path| machine.has_directory(path))
            && same(&self.scripts, |(path, user, links)| machine.script(path, *user, *links))
            && same(&self.addresses, |host| machine.address_of(host))
    }
}

/// Asks another [`Machine`] and remembers what it answers.
#[derive(Debug)]
pub struct Witness<M> {
    machine: M,
    testimony: RefCell<Testimony>,
}

impl<M: Machine> Witness<M> {
    /// Nothing has been asked yet.
    pub fn of(machine: M) -> Self {
        Self { machine, testimony: RefCell::default() }
    }

    /// What was asked, and answered.
    pub fn into_testimony(self) -> Testimony {
        self.testimony.into_inner()
    }
}

impl<M: Machine> Machine for Witness<M> {
    fn link(&self, name: &IfName) -> Option<Link> {
        self.testimony.borrow_mut().links.entry(*name).or_insert_with(|| self.machine.link(name)).clone()
    }

    fn link_names(&self) -> Vec<String> {
        self.testimony.borrow_mut().link_names.get_or_insert_with(|| self.machine.link_names()).clone()
    }

    fn user(&self, name: &str) -> Option<User> {
        *self.testimony.borrow_mut().users.entry(name.to_owned()).or_insert_with(|| self.machine.user(name))
    }

    fn group(&self, name: &str) -> Option<u32> {
        *self.testimony.borrow_mut().groups.entry(name.to_owned()).or_insert_with(|| self.machine.group(name))
    }

    fn own_user(&self) -> User {
        *self.testimony.borrow_mut().own_user.get_or_insert_with(|| self.machine.own_user())
    }

    fn own_user_name(&self) -> String {
        self.testimony.borrow_mut().own_user_name.get_or_insert_with(|| self.machine.own_user_name()).clone()
    }

    fn address_of(&self, host: &str) -> Option<IpAddr> {
        *self.testimony.borrow_mut().addresses.entry(host.to_owned()).or_insert_with(|| self.machine.address_of(host))
    }

    fn host_name(&self) -> String {
        self.testimony.borrow_mut().host_name.get_or_insert_with(|| self.machine.host_name()).clone()
    }

    fn has_directory(&self, path: &Path) -> bool {
        let mut testimony = self.testimony.borrow_mut();
        *testimony.directories.entry(path.to_owned()).or_insert_with(|| self.machine.has_directory(path))
    }

    fn script(&self, path: &Path, user: User, use_symlink_paths: bool) -> Result<FoundScript, ScriptProblem> {
        let mut testimony = self.testimony.borrow_mut();
        let question = (path.to_owned(), user, use_symlink_paths);
        let ask = || self.machine.script(path, user, use_symlink_paths);
        testimony.scripts.entry(question).or_insert_with(ask).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::machine::FakeMachine;

    /// Everything that can be asked is asked.
    fn asked(machine: &impl Machine) {
        let root = User { uid: 0, gid: 0 };
        machine.link(&"eth0".parse().unwrap());
        machine.link(&"none0".parse().unwrap());
        machine.link_names();
        machine.user("root");
        machine.user("nobody");
        machine.group("root");
        machine.own_user();
        machine.own_user_name();
        machine.host_name();
        machine.address_of("mail.example.com");
        machine.has_directory(Path::new("/etc"));
        let _ = machine.script(Path::new("/usr/bin/true"), root, false);
    }

    #[test]
    fn an_unchanged_machine_answers_the_same_and_whatever_changes_is_noticed() {
        let witness = Witness::of(FakeMachine::default());
        asked(&witness);
        asked(&witness);
        let testimony = witness.into_testimony();
        assert!(testimony.still_holds(&FakeMachine::default()));
        let changes: [fn(&mut FakeMachine); 6] = [
            |machine| machine.links.get_mut("eth0").unwrap().mtu = 9000,
            |machine| machine.links.get_mut("eth0").unwrap().addresses.clear(),
            |machine| machine.every_link_exists = true,
            |machine| _ = machine.users.insert("nobody".into(), User { uid: 65534, gid: 65534 }),
            |machine| _ = machine.hosts.insert("mail.example.com".into(), [192, 0, 2, 25].into()),
            |machine| machine.missing_scripts.push("/usr/bin/true".into()),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut machine = FakeMachine::default();
            change(&mut machine);
            assert!(!testimony.still_holds(&machine), "change {number}");
        }
        assert!(Testimony::default().still_holds(&FakeMachine { links: BTreeMap::new(), ..FakeMachine::default() }));
    }
}
