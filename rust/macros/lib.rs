// SPDX-License-Identifier: GPL-2.0
//! Mode B's stand-in for the in-tree `macros` crate: [`kunit_tests`], for builds with suites and no others (docs/kunit.md).
//!
//! It is compiled for the host, on `proc_macro` alone: a module's tests are told by their attribute, and nothing else of Rust need
//! be parsed. What a test is to C is said in `rust/kernel/kunit.rs`.
//!
//! C counterpart: `kunit_test_suite()` of `include/kunit/test.h`; upstream: `rust/macros/kunit.rs`.

use proc_macro::{Delimiter, Group, Ident, Spacing, Span, TokenStream, TokenTree};

/// Makes a KUnit suite of an inline module: `#[kunit_tests(ovs_thing)] mod tests { … }`.
///
/// Its cases are the functions under `#[test]`, without arguments; one that returns a `Result` fails with an error. From the first
/// of them on `assert!` and `assert_eq!`, without a message, are KUnit's: they end the case, not the kernel.
#[proc_macro_attribute]
pub fn kunit_tests(attr: TokenStream, item: TokenStream) -> TokenStream {
    suite(attr, item).unwrap_or_else(Error::into_tokens)
}

/// What is wrong, and where.
struct Error(Span, &'static str);

impl Error {
    fn at(tokens: &[TokenTree], otherwise: Span, text: &'static str) -> Self {
        Self(tokens.first().map_or(otherwise, TokenTree::span), text)
    }

    /// `compile_error!` there.
    fn into_tokens(self) -> TokenStream {
        let text = format!("::core::compile_error! {{ {:?} }}", self.1);
        parsed(&text)
            .into_iter()
            .map(|mut token| {
                token.set_span(self.0);
                token
            })
            .collect()
    }
}

/// The tokens of a text of ours.
fn parsed(text: &str) -> TokenStream {
    text.parse().expect("the macro's own text is Rust")
}

/// The module, with the suite at its end.
fn suite(attr: TokenStream, item: TokenStream) -> Result<TokenStream, Error> {
    let name = suite_name(attr)?;
    let mut module: Vec<TokenTree> = item.into_iter().collect();
    let body = match module.as_slice() {
        [.., TokenTree::Ident(word), TokenTree::Ident(_), TokenTree::Group(body)]
            if word.to_string() == "mod" && body.delimiter() == Delimiter::Brace =>
        {
            body.clone()
        }
        _ => {
            return Err(Error::at(
                &module,
                name.span(),
                "a suite is an inline module: `#[kunit_tests(name)] mod tests { … }`",
            ))
        }
    };
    let (mut items, cases) = items(body.stream())?;
    if cases.is_empty() {
        return Err(Error(name.span(), "no `#[test]` in this module"));
    }
    items.extend(register(name, cases));
    module.pop();
    module.push(Group::new(Delimiter::Brace, items).into());
    Ok(module.into_iter().collect())
}

/// The attribute's argument.
fn suite_name(attr: TokenStream) -> Result<Ident, Error> {
    let attr: Vec<TokenTree> = attr.into_iter().collect();
    match attr.as_slice() {
        // C has an array of 256 bytes for it.
        [TokenTree::Ident(name)] if name.to_string().len() < 256 => Ok(name.clone()),
        [TokenTree::Ident(name)] => Err(Error(name.span(), "a suite's name has at most 255 bytes")),
        _ => Err(Error::at(
            &attr,
            Span::call_site(),
            "a suite has a name: `#[kunit_tests(ovs_thing)]`",
        )),
    }
}

/// A module's items without the attribute `#[test]`, and the names of those that had it.
fn items(body: TokenStream) -> Result<(TokenStream, Vec<Ident>), Error> {
    let body: Vec<TokenTree> = body.into_iter().collect();
    let (mut out, mut cases) = (TokenStream::new(), Vec::new());
    let mut rest = body.as_slice();
    while !rest.is_empty() {
        let (attributes, after) = attributes(rest);
        if let Some(test) = attributes.chunks(2).find(|a| is_test(a)) {
            if let Some(cfg) = attributes.chunks(2).find(|a| content(a).starts_with("cfg")) {
                let text = "a case is there whenever its suite is: `#[cfg]` goes to the module";
                return Err(Error(cfg[1].span(), text));
            }
            let case = function(after).ok_or_else(|| {
                Error::at(
                    after,
                    test[1].span(),
                    "a case is a plain function without arguments: `#[test] fn it_does() { … }`",
                )
            })?;
            if cases.is_empty() {
                out.extend(parsed(ASSERTIONS));
            }
            cases.push(case);
        }
        out.extend(
            attributes
                .chunks(2)
                .filter(|a| !is_test(a))
                .flatten()
                .cloned(),
        );
        // The item itself, token by token: the next attribute is the next item's.
        out.extend(after.first().cloned());
        rest = after.get(1..).unwrap_or_default();
    }
    Ok((out, cases))
}

/// What is meant by an assertion in a case.
const ASSERTIONS: &str = "
    #[allow(unused_macros)]
    macro_rules! assert {
        ($condition:expr $(,)?) => { ::kernel::kunit_assert!($condition) };
        ($($other:tt)*) => { ::core::compile_error!(\"in a case: `assert!(condition)`, without a message\") };
    }
    #[allow(unused_macros)]
    macro_rules! assert_eq {
        ($left:expr, $right:expr $(,)?) => { ::kernel::kunit_assert!($left == $right) };
        ($($other:tt)*) => { ::core::compile_error!(\"in a case: `assert_eq!(left, right)`, without a message\") };
    }
";

/// Splits off the outer attributes at the beginning, two tokens each.
fn attributes(tokens: &[TokenTree]) -> (&[TokenTree], &[TokenTree]) {
    let is_attribute = |pair: &[TokenTree]| match pair {
        [TokenTree::Punct(hash), TokenTree::Group(group)] => {
            hash.as_char() == '#' && group.delimiter() == Delimiter::Bracket
        }
        _ => false,
    };
    let n = tokens
        .chunks(2)
        .take_while(|pair| is_attribute(pair))
        .count();
    tokens.split_at(2 * n)
}

/// What stands in an attribute's brackets.
fn content(attribute: &[TokenTree]) -> String {
    match attribute {
        [_, TokenTree::Group(group)] => group.stream().to_string(),
        _ => String::new(),
    }
}

/// Whether an attribute is `#[test]`.
fn is_test(attribute: &[TokenTree]) -> bool {
    content(attribute) == "test"
}

/// The name of the function that begins here, if it takes nothing.
fn function(tokens: &[TokenTree]) -> Option<Ident> {
    match tokens {
        [TokenTree::Ident(word), TokenTree::Ident(name), TokenTree::Group(arguments), ..]
            if word.to_string() == "fn" && arguments.stream().is_empty() =>
        {
            Some(name.clone())
        }
        _ => None,
    }
}

/// `kunit_suite!(name: case, case, …);`, with the names as they stand in the source, so that the compiler points there.
fn register(name: Ident, cases: Vec<Ident>) -> TokenStream {
    let punct = |c| TokenTree::from(proc_macro::Punct::new(c, Spacing::Alone));
    let mut arguments: Vec<TokenTree> = vec![name.into(), punct(':')];
    for case in cases {
        arguments.extend([case.into(), punct(',')]);
    }
    let mut call = parsed("::kernel::kunit_suite!");
    call.extend([
        Group::new(Delimiter::Parenthesis, arguments.into_iter().collect()).into(),
        punct(';'),
    ]);
    call
}
