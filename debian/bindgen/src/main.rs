// SPDX-License-Identifier: GPL-2.0
//! bindgen's command line as far as rust/mode.mk and rust/bindings/bindgen_parameters use it; whatever else is an error.
//! `bindgen HEADER OPTION... -o FILE -- CLANG-OPTION...`, `bindgen --version`. Exit status 1 and a line on standard error if it fails.

use std::process::ExitCode;

use bindgen::{Builder, Formatter, RustTarget};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args == ["--version"] {
        println!("bindgen {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bindgen: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Vec<String>) -> Result<(), String> {
    let (builder, output) = parse(args)?;
    let bindings = builder.generate().map_err(|e| e.to_string())?;
    match output {
        Some(path) => bindings
            .write_to_file(&path)
            .map_err(|e| format!("{path}: {e}")),
        None => bindings
            .write(Box::new(std::io::stdout()))
            .map_err(|e| e.to_string()),
    }
}

fn parse(args: Vec<String>) -> Result<(Builder, Option<String>), String> {
    let mut args = args.into_iter();
    let (mut builder, mut header, mut output) = (Builder::default(), None, None);
    while let Some(arg) = args.next() {
        if arg == "--" {
            builder = builder.clang_args(args.by_ref());
            break;
        }
        if !arg.starts_with('-') {
            if header.replace(arg.clone()).is_some() {
                return Err(format!("a second header: {arg}"));
            }
            builder = builder.header(arg);
            continue;
        }
        let known;
        (builder, known) = flag(builder, &arg);
        if known {
            continue;
        }
        let value = args
            .next()
            .ok_or_else(|| format!("no value for {arg}, or no such option"))?;
        if arg == "-o" {
            output = Some(value);
        } else {
            builder = valued(builder, &arg, &value)?;
        }
    }
    header.ok_or("no header")?;
    Ok((builder, output))
}

/// With an option that has no value, and whether it is one.
fn flag(builder: Builder, arg: &str) -> (Builder, bool) {
    let builder = match arg {
        "--with-derive-default" => builder.derive_default(true),
        "--use-core" => builder.use_core(),
        "--no-layout-tests" => builder.layout_tests(false),
        "--no-doc-comments" => builder.generate_comments(false),
        "--enable-function-attribute-detection" => builder.enable_function_attribute_detection(),
        _ => return (builder, false),
    };
    (builder, true)
}

fn valued(builder: Builder, arg: &str, value: &str) -> Result<Builder, String> {
    Ok(match arg {
        "--allowlist-file" => builder.allowlist_file(value),
        "--allowlist-function" => builder.allowlist_function(value),
        "--allowlist-type" => builder.allowlist_type(value),
        "--allowlist-var" => builder.allowlist_var(value),
        "--blocklist-type" => builder.blocklist_type(value),
        "--opaque-type" => builder.opaque_type(value),
        "--no-debug" => builder.no_debug(value),
        "--ctypes-prefix" => builder.ctypes_prefix(value),
        "--rust-target" => {
            builder.rust_target(value.parse::<RustTarget>().map_err(|e| e.to_string())?)
        }
        "--formatter" => builder.formatter(value.parse::<Formatter>().map_err(|e| e.to_string())?),
        _ => return Err(format!("no option {arg}")),
    })
}
