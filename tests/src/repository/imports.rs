//! Which files of a crate import from which: `use` and paths in the code, resolved to the file that defines the name.
//!
//! A file that declares a child (`mod`) or hands its names on (`pub use`) does not import from it. It does if its own code uses
//! one of these names. Calls of methods are no imports, and neither is what a macro expands to.

use std::collections::{BTreeMap, BTreeSet};

use super::rust_text::{Tokens, behind_closing, tokens};

/// The names from the root of the crate to a module.
type ModulePath = Vec<String>;

#[derive(Debug, Default)]
struct Module {
    file: String,
    children: BTreeSet<String>,
    test_children: Vec<String>,
    /// The names that `use` binds, with the paths that they mean.
    bindings: BTreeMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
    /// The paths that count as imports of this module, as they are written.
    paths: Vec<Vec<String>>,
}

/// The imports among the files of a crate, without those of tests.
#[derive(Debug)]
pub struct Imports {
    modules: BTreeMap<ModulePath, Module>,
}

impl Imports {
    /// Reads the files of a crate: paths relative to its `src`, and their text.
    pub fn of(files: &[(String, String)]) -> Self {
        let mut modules = BTreeMap::new();
        for (file, text) in files {
            let path = module_path(file);
            let parsed = Parser::module(file, tokens(text));
            modules.insert(path, parsed);
        }
        for path in modules.keys().cloned().collect::<Vec<_>>() {
            if let Some((name, parent)) = path.split_last()
                && let Some(parent) = modules.get_mut(parent)
            {
                parent.children.insert(name.clone());
            }
        }
        let of_tests: Vec<ModulePath> = modules
            .iter()
            .flat_map(|(path, module)| module.test_children.iter().map(|it| join(path, it)))
            .collect();
        modules.retain(|path, _| !of_tests.iter().any(|it| path.starts_with(it)));
        Self { modules }
    }

    /// Returns the files that each file imports from.
    pub fn by_file(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut imports = BTreeMap::new();
        for (path, module) in &self.modules {
            let mut of_file = BTreeSet::new();
            for written in &module.paths {
                let file = self.absolute(path, written).and_then(|it| self.defining_file(&it));
                of_file.extend(file.filter(|it| *it != module.file));
            }
            imports.insert(module.file.clone(), of_file);
        }
        imports
    }

    /// Returns the path from the root of the crate that `written` means in the module `path`, if it is of this crate.
    fn absolute(&self, path: &[String], written: &[String]) -> Option<Vec<String>> {
        let (first, rest) = written.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([path, rest].concat()),
            "super" => {
                let mut base = path.split_last()?.1;
                let mut rest = rest;
                while let Some((first, behind)) = rest.split_first()
                    && first == "super"
                {
                    base = base.split_last()?.1;
                    rest = behind;
                }
                Some([base, rest].concat())
            }
            _ => {
                let module = self.modules.get(path)?;
                if module.children.contains(first) {
                    return Some([path, written].concat());
                }
                let bound = module.bindings.get(first).filter(|it| it.first() != Some(first))?;
                let base = self.absolute(path, bound)?;
                Some([base.as_slice(), rest].concat())
            }
        }
    }

    /// Returns the file that defines what a path from the root means. A path to a module alone imports nothing yet.
    fn defining_file(&self, path: &[String]) -> Option<String> {
        let mut at: ModulePath = Vec::new();
        for (index, name) in path.iter().enumerate() {
            let module = &self.modules[&at];
            let child = join(&at, name);
            if self.modules.contains_key(&child) {
                at = child;
                continue;
            }
            if let Some(bound) = module.bindings.get(name) {
                let base = self.absolute(&at, bound)?;
                let whole = [base.as_slice(), &path[index + 1..]].concat();
                assert_ne!(whole, path, "{}: `{name}` means itself", module.file);
                return self.defining_file(&whole);
            }
            return Some(module.file.clone());
        }
        None
    }
}

/// Reads the `use` items and the paths of one file.
struct Parser {
    tokens: Vec<String>,
    module: Module,
    /// Names that the file only hands on, with the path of each.
    handed_on: Vec<(String, Vec<String>)>,
    /// The names that occur outside of `use` items.
    used: BTreeSet<String>,
}

impl Parser {
    fn module(file: &str, Tokens { tokens, test_modules }: Tokens) -> Module {
        let module =
            Module { file: file.to_owned(), test_children: test_modules, ..Module::default() };
        let mut parser = Self { tokens, module, handed_on: Vec::new(), used: BTreeSet::new() };
        parser.run();
        let Self { mut module, handed_on, used, .. } = parser;
        let mut own: Vec<_> =
            handed_on.into_iter().filter(|(name, _)| used.contains(name)).collect();
        module.paths.extend(own.drain(..).map(|(_, path)| path));
        let globs = module.globs.clone();
        // The names of a glob are not known: each may be of the module itself.
        module.paths.extend(globs.into_iter().map(|it| join(&it, "*")));
        module
    }

    fn run(&mut self) {
        let mut index = 0;
        while index < self.tokens.len() {
            let token = self.tokens[index].as_str();
            if token == "use" && !self.is_behind(index, "<") {
                index = self.use_item(index);
            } else if is_name(token) {
                index = self.path(index);
            } else {
                index += 1;
            }
        }
    }

    fn is_behind(&self, index: usize, token: &str) -> bool {
        index.checked_sub(1).and_then(|it| self.tokens.get(it)).is_some_and(|it| it == token)
    }

    /// Reads a `use` item, and returns the index behind it.
    fn use_item(&mut self, start: usize) -> usize {
        let hands_on = self.is_behind(start, "pub") || self.is_behind(start, ")");
        let end = (start..self.tokens.len()).find(|it| self.tokens[*it] == ";");
        let end = end.expect("a use item ends");
        let mut leaves = Vec::new();
        use_leaves(&self.tokens[start + 1..end], &[], &mut leaves);
        for (name, path) in leaves {
            if name == "*" {
                self.module.globs.push(path);
                continue;
            }
            if hands_on {
                self.handed_on.push((name.clone(), path.clone()));
            } else {
                self.module.paths.push(path.clone());
            }
            self.module.bindings.insert(name, path);
        }
        end + 1
    }

    /// Reads a path in the code, and returns the index behind it.
    fn path(&mut self, start: usize) -> usize {
        let mut path = vec![self.tokens[start].clone()];
        let mut index = start + 1;
        while self.tokens.get(index).is_some_and(|it| it == "::")
            && self.tokens.get(index + 1).is_some_and(|it| is_name(it))
        {
            path.push(self.tokens[index + 1].clone());
            index += 2;
        }
        // `$crate::…` is read where the macro is expanded, `.name` is a field or method, `::name` has no first name here.
        if !["$", ".", "::"].iter().any(|it| self.is_behind(start, it)) {
            self.used.insert(path[0].clone());
            if path.len() > 1 {
                self.module.paths.push(path);
            }
        }
        index
    }
}

/// The names that a tree of `use` binds, with their paths. A glob has the name `*`.
fn use_leaves(tree: &[String], base: &[String], leaves: &mut Vec<(String, Vec<String>)>) {
    let mut path = base.to_vec();
    let mut index = 0;
    let mut alias = None;
    while index < tree.len() {
        match tree[index].as_str() {
            "{" => {
                let end = behind_closing(tree, index);
                for part in split_at_commas(&tree[index + 1..end - 1]) {
                    use_leaves(part, &path, leaves);
                }
                return;
            }
            "*" => return leaves.push(("*".to_owned(), path)),
            "as" => {
                alias = tree.get(index + 1).cloned();
                break;
            }
            "::" => {}
            "self" if !path.is_empty() => {}
            name => path.push(name.to_owned()),
        }
        index += 1;
    }
    if let Some(last) = path.last().cloned() {
        leaves.push((alias.unwrap_or(last), path));
    }
}

fn split_at_commas(tokens: &[String]) -> Vec<&[String]> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut index = 0;
    while index < tokens.len() {
        match tokens[index].as_str() {
            "," => {
                parts.push(&tokens[start..index]);
                index += 1;
                start = index;
            }
            "{" => index = behind_closing(tokens, index),
            _ => index += 1,
        }
    }
    parts.push(&tokens[start..]);
    parts
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn module_path(file: &str) -> ModulePath {
    let path = file.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    if matches!(path, "lib" | "main") {
        return Vec::new();
    }
    path.split('/').map(str::to_owned).collect()
}

fn join(path: &[String], name: &str) -> ModulePath {
    path.iter().cloned().chain([name.to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(files: &[(&str, &str)], expected: &[(&str, &str)]) {
        let files: Vec<_> =
            files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        let found = Imports::of(&files).by_file();
        let found: Vec<_> = found
            .iter()
            .flat_map(|(from, to)| to.iter().map(|to| (from.as_str(), to.as_str())))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn use_is_resolved_to_defining_file() {
        let lib = ("lib.rs", "mod a; mod b;");
        let reexport =
            ("a/mod.rs", "mod inner; pub(crate) use self::inner::{Deep, other as Renamed};");
        let inner = ("a/inner.rs", "pub struct Deep; pub fn other() {}");
        check(
            &[lib, reexport, inner, ("b.rs", "use crate::a::{self, Renamed};")],
            &[("b.rs", "a/inner.rs")],
        );
        check(
            &[lib, reexport, inner, ("b.rs", "use crate::a; fn f() { a::Deep }")],
            &[("b.rs", "a/inner.rs")],
        );
        check(&[lib, reexport, inner, ("b.rs", "use crate::a;")], &[]);
    }

    #[test]
    fn parent_imports_only_what_its_code_uses() {
        let lib = ("lib.rs", "mod a;");
        let child = ("a/child.rs", "use super::Parent; pub struct Child(Parent);");
        let hands_on = "mod child; pub use self::child::Child; pub struct Parent;";
        let uses = "mod child; pub use self::child::Child; pub struct Parent; fn f(_: Child) {}";
        let by_path = "mod child; pub struct Parent; fn f(_: child::Child) {}";
        check(&[lib, ("a/mod.rs", hands_on), child], &[("a/child.rs", "a/mod.rs")]);
        let both = &[("a/child.rs", "a/mod.rs"), ("a/mod.rs", "a/child.rs")];
        check(&[lib, ("a/mod.rs", uses), child], both);
        check(&[lib, ("a/mod.rs", by_path), child], both);
    }

    #[test]
    fn tests_comments_and_strings_are_no_imports() {
        let b = ("b.rs", "pub struct B;");
        let text = "// crate::b::B\n/* crate::b::B */ const A: &str = \"crate::b::B\"; const C: char = '\"';\n\
                    #[cfg(test)] mod tests { use crate::b::B; }\n#[cfg(test)]\nmod model;";
        let model = ("a/model.rs", "use crate::b::B;");
        check(&[("lib.rs", "mod a; mod b;"), b, ("a/mod.rs", text), model], &[]);
        check(
            &[("lib.rs", "mod a; mod b;"), b, ("a/mod.rs", "fn f<'a>(_: &'a crate::b::B) {}")],
            &[("a/mod.rs", "b.rs")],
        );
    }
}
