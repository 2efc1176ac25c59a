//! Keeps the catalogues whole: equal keys, equal variables, everything used and nothing more.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::*;

/// Key → the variables its message names.
fn entries(language: Language) -> BTreeMap<String, BTreeSet<String>> {
    let mut entries = BTreeMap::new();
    let mut key = String::new();
    for line in language.catalogue().lines() {
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        if let Some((name, _)) = line.split_once(" =").filter(|_| !line.starts_with([' ', '}'])) {
            key = name.to_owned();
            assert!(!entries.contains_key(&key), "{key} stands twice in {}", language.code());
        }
        let variables: &mut BTreeSet<String> = entries.entry(key.clone()).or_default();
        for part in line.split('$').skip(1) {
            variables.insert(part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect());
        }
    }
    entries
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "rs" || ending == "html") {
            into.push(path);
        }
    }
}

/// Every template, and the sources that fill them in.
fn all_sources() -> String {
    let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    sources(&crate_root.join("src/pages"), &mut paths);
    sources(&crate_root.join("templates"), &mut paths);
    paths.retain(|path| path.file_name().is_some_and(|name| name != "tests.rs"));
    paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn both_catalogues_parse_and_have_the_same_keys_and_variables() {
    for language in Language::ALL {
        if let Err((_, errors)) = FluentResource::try_new(language.catalogue().to_owned()) {
            panic!("{}: {errors:?}", language.code());
        }
        assert!(language.code().parse::<unic_langid::LanguageIdentifier>().is_ok());
    }
    assert_eq!(entries(Language::English), entries(Language::Chinese));
}

#[test]
fn every_key_that_is_used_exists() {
    let known = entries(Language::English);
    let sources = all_sources();
    for opening in [".m(\"", "text(\""] {
        for rest in sources.split(opening).skip(1) {
            let key = rest.split('"').next().unwrap();
            assert!(known.contains_key(key), "{opening}{key} is in no catalogue");
        }
    }
}

#[test]
fn every_key_is_used() {
    let sources = all_sources();
    for key in entries(Language::English).keys() {
        assert!(sources.contains(&format!("\"{key}\"")), "{key} is never used");
    }
}

#[test]
fn a_missing_message_shows() {
    let t = Translator { language: Language::English };
    assert_eq!(t.m("no-such-key").to_string(), "⟦no-such-key⟧");
}

#[test]
fn browsers_choose() {
    for (header, expected) in [
        ("", Language::English),
        ("zh-CN,zh;q=0.9,en;q=0.8", Language::Chinese),
        ("de-DE,de;q=0.9,zh;q=0.2,en;q=0.5", Language::English),
        ("zh;q=0,en", Language::English),
        ("fr, zh-TW;q=0.3", Language::Chinese),
        (";;;,q=,zh;q=x", Language::Chinese),
    ] {
        assert_eq!(Language::accepted(header), expected, "{header}");
    }
}

#[test]
fn numbers_are_grouped() {
    assert_eq!(grouped(0), "0");
    assert_eq!(grouped(999), "999");
    assert_eq!(grouped(1_000), "1,000");
    assert_eq!(grouped(16_777_216), "16,777,216");
}
