//! The modules of a crate, and which file uses which.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::tokens::{self, Token, is_word};

/// Names from a module or the root of the crate on.
pub(crate) type Names = Vec<String>;

/// One source file.
#[derive(Debug)]
pub(crate) struct Module {
    /// From the root of the repository.
    pub(crate) file: String,
    /// From the root of the crate, such as `queue`, `entry`.
    pub(crate) path: Names,
    /// Lines with code.
    pub(crate) lines: usize,
    children: BTreeSet<String>,
    /// What `use` brings in, by the name that it has here.
    imports: BTreeMap<String, Names>,
    /// Modules whose names are all brought in.
    globs: Vec<Names>,
    /// Every path that is written here, but those that are only handed on (`pub use`).
    used: Vec<Names>,
    defined: BTreeSet<String>,
}

/// A crate of the workspace, without its tests.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) modules: BTreeMap<Names, Module>,
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

impl Package {
    pub(crate) fn read(name: &str) -> Self {
        let sources = root().join(name).join("src");
        let (mut modules, mut folders) = (BTreeMap::new(), vec![sources.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_stem().unwrap().to_string_lossy();
                if name == "tests" || name.ends_with("_tests") {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let file = path.strip_prefix(root()).unwrap().to_string_lossy();
                    let inside = path.strip_prefix(&sources).unwrap().to_string_lossy();
                    let module = Module::read(&file, &inside, &fs::read_to_string(&path).unwrap());
                    modules.insert(module.path.clone(), module);
                }
            }
        }
        assert!(!modules.is_empty(), "{name} has no sources");
        Self { modules }
    }

    /// Each file of this crate that uses another one, both by the paths of their modules. A name that a module hands on counts as used
    /// from the file that defines it.
    pub(crate) fn uses(&self) -> BTreeSet<(&Names, &Names)> {
        let mut found = BTreeSet::new();
        for module in self.modules.values() {
            for path in &module.used {
                let target = module.begin(path, 0).and_then(|(base, rest)| self.definer(base, &rest, 0));
                found.extend(target.filter(|target| *target != &module.path).map(|target| (&module.path, target)));
            }
        }
        found
    }

    /// The file that defines what a path names; none where it names a whole module or another crate's.
    fn definer(&self, mut base: Names, rest: &[String], depth: usize) -> Option<&Names> {
        let mut rest = rest.iter();
        let name = loop {
            let name = rest.next()?;
            let child = [base.as_slice(), std::slice::from_ref(name)].concat();
            // A function may have the name of the module that it is handed on from.
            let is_item = rest.len() == 0 && self.modules.get(&base)?.imports.contains_key(name);
            if is_item || !self.modules.contains_key(&child) {
                break name;
            }
            base = child;
        };
        let module = self.modules.get(&base)?;
        if module.defined.contains(name) || depth == 8 {
            return Some(&module.path);
        }
        if let Some(import) = module.imports.get(name) {
            let (base, rest) = module.begin(import, 0)?;
            return self.definer(base, &rest, depth + 1);
        }
        let by_glob = module.globs.iter().find_map(|glob| {
            let (base, rest) = module.begin(glob, 0)?;
            let found = self.definer(base, &[rest, vec![name.clone()]].concat(), depth + 1)?;
            self.modules[found].defined.contains(name).then_some(found)
        });
        // A file that only declares and hands on defines nothing, others may by a macro.
        by_glob.or_else(|| (!module.defined.is_empty()).then_some(&module.path))
    }
}

impl Module {
    /// Reads a source that stands at this place below its crate's `src`.
    fn read(file: &str, inside: &str, source: &str) -> Self {
        let tokens = tokens::read(source);
        let mut names: Names = inside.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        names.pop_if(|name| matches!(name.as_str(), "mod" | "lib" | "main"));
        let mut module = Self {
            file: file.to_owned(),
            path: names,
            lines: tokens.iter().map(|token| token.line).collect::<BTreeSet<_>>().len(),
            children: BTreeSet::new(),
            imports: BTreeMap::new(),
            globs: Vec::new(),
            used: Vec::new(),
            defined: BTreeSet::new(),
        };
        module.collect(&tokens);
        module
    }

    /// The module that a path begins at, and the rest of the path; none for other crates and what the language has.
    fn begin(&self, path: &[String], depth: usize) -> Option<(Names, Names)> {
        let first = path.first()?;
        match first.as_str() {
            "crate" => Some((Names::new(), path[1..].to_vec())),
            "self" => Some((self.path.clone(), path[1..].to_vec())),
            "super" => {
                let ups = path.iter().take_while(|name| *name == "super").count();
                let kept = self.path.len().checked_sub(ups)?;
                Some((self.path[..kept].to_vec(), path[ups..].to_vec()))
            }
            _ if self.children.contains(first) => Some((self.path.clone(), path.to_vec())),
            _ => {
                let import = self.imports.get(first).filter(|import| depth < 8 && import.first() != Some(first))?;
                self.begin(&[import, &path[1..]].concat(), depth + 1)
            }
        }
    }

    fn collect(&mut self, tokens: &[Token]) {
        let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
        let mut at = 0;
        while at < tokens.len() {
            let is_use = text(at) == "use" && is_word(text(at + 1));
            match text(at) {
                "mod" if text(at + 2) == ";" => _ = self.children.insert(text(at + 1).to_owned()),
                "fn" | "struct" | "enum" | "trait" | "const" | "static" | "type" | "union" if is_word(text(at + 1)) => {
                    self.defined.insert(text(at + 1).to_owned());
                }
                "macro_rules" => _ = self.defined.insert(text(at + 2).to_owned()),
                _ => {}
            }
            let begins_path = text(at + 1) == "::" && is_word(text(at)) && (at == 0 || text(at - 1) != "::");
            if !is_use && !begins_path {
                at += 1;
                continue;
            }
            let is_handed_on = is_use && at > 0 && matches!(text(at - 1), "pub" | ")");
            let mut found = Vec::new();
            at = read_paths(tokens, at + usize::from(is_use), &[], &mut found);
            for (mut path, name) in found {
                if is_use {
                    path.pop_if(|last| last == "self");
                    match path.last().map(String::as_str) {
                        Some("*") => self.globs.push(path[..path.len() - 1].to_vec()),
                        Some(last) => _ = self.imports.insert(name.unwrap_or_else(|| last.to_owned()), path.clone()),
                        None => {}
                    }
                }
                if !is_handed_on {
                    self.used.push(path);
                }
            }
        }
    }

    /// Whether a crate is named here.
    pub(crate) fn names_crate(&self, name: &str) -> bool {
        let is_named = |path: &Names| path.first().is_some_and(|first| first == name);
        !self.children.contains(name) && (self.used.iter().any(is_named) || self.imports.values().any(is_named))
    }
}

/// Reads a path, or a tree of them as `use` has it, and returns where it ends.
fn read_paths(tokens: &[Token], mut at: usize, before: &[String], found: &mut Vec<(Names, Option<String>)>) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut path = before.to_vec();
    loop {
        match text(at) {
            "{" => {
                at += 1;
                while !matches!(text(at), "}" | "") {
                    at = if text(at) == "," { at + 1 } else { read_paths(tokens, at, &path, found) };
                }
                return at + 1;
            }
            name => path.push(name.to_owned()),
        }
        at += 1;
        let goes_on = text(at) == "::" && (is_word(text(at + 1)) || matches!(text(at + 1), "{" | "*"));
        if !goes_on {
            break;
        }
        at += 1;
    }
    let renamed = (text(at) == "as").then(|| text(at + 1).to_owned());
    at += if renamed.is_some() { 2 } else { 0 };
    found.push((path, renamed));
    at
}

#[test]
fn a_name_that_is_handed_on_is_used_from_where_it_is_defined() {
    let sources = [
        ("lib.rs", "mod room; mod user; pub use room::Low as Public;"),
        ("room/mod.rs", "mod high; mod low; pub(crate) use self::{high::*, low::Low};"),
        ("room/high.rs", "use super::Low; pub(crate) fn rise(low: Low) {}"),
        (
            "room/low.rs",
            "pub(crate) struct Low; // super::high::rise\n#[cfg(test)] mod tests { use super::super::high; high::rise(); }",
        ),
        ("user.rs", "use crate::{Public, room}; fn user(text: &'static str) { room::rise(\"crate::nothing::here\"); }"),
    ];
    let modules = sources.map(|(inside, source)| Module::read(inside, inside, source));
    let package = Package { modules: modules.into_iter().map(|module| (module.path.clone(), module)).collect() };
    let uses: Vec<_> = package.uses().into_iter().map(|(from, to)| (from.join("/"), to.join("/"))).collect();
    let expected = [("room/high", "room/low"), ("user", "room/high"), ("user", "room/low")];
    assert_eq!(uses, expected.map(|(from, to)| (from.to_owned(), to.to_owned())));
}
