// SPDX-License-Identifier: GPL-2.0
//! What of interface-reconfigure's options goes together, and that every tool says what is wrong in one line.

use super::*;

fn request(line: &str) -> Result<Request> {
    let words = std::iter::once("interface-reconfigure").chain(line.split_whitespace());
    let words: Vec<OsString> = words.map(OsString::from).collect();
    match parse::<InterfaceReconfigure>(&words) {
        Ok(args) => args.request(),
        Err(Stop::Error(e)) => Err(e),
        Err(Stop::Printed) => panic!("printed"),
    }
}

#[test]
fn requests() {
    let (session, bridge) = (Some("S".to_string()), "xenbr0".to_string());
    let pif = |action, pif, session, management| Request::Pif {
        action,
        pif,
        session,
        management,
    };
    let force = |action, management| Request::Force {
        action,
        bridge: bridge.clone(),
        management,
    };
    for (line, want) in [
        (
            "--session S --pif P up",
            pif(Action::Up, Which::Ref("P".into()), session.clone(), false),
        ),
        (
            "--session S --pif P --management up",
            pif(Action::Up, Which::Ref("P".into()), session.clone(), true),
        ),
        (
            "--pif-uuid=U down",
            pif(Action::Down, Which::Uuid("U".into()), None, false),
        ),
        (
            "--pif-uuid U --management up",
            pif(Action::Up, Which::Uuid("U".into()), None, true),
        ),
        ("--force xenbr0 up", force(Action::Up, false)),
        (
            "--management --force-interface xenbr0 up",
            force(Action::Up, true),
        ),
        ("--force-interface xenbr0 down", force(Action::Down, false)),
        ("rewrite", Request::Rewrite { session: None }),
        ("--management rewrite", Request::Rewrite { session: None }),
        (
            "--session S rewrite-configuration",
            Request::Rewrite { session },
        ),
    ] {
        assert_eq!(request(line).unwrap(), want, "{line}");
    }
    let line = "--force xenbr0 rewrite --device eth0 --mac 00:16:3e:00:00:01 --mode=Static --ip=192.0.2.1 \
        --netmask=255.255.255.0 --gateway=192.0.2.254";
    let want = Initial {
        bridge: bridge.clone(),
        device: "eth0".into(),
        mac: "00:16:3e:00:00:01".into(),
        ip_mode: IpMode::Static,
        ip: "192.0.2.1".into(),
        netmask: "255.255.255.0".into(),
        gateway: "192.0.2.254".into(),
    };
    assert_eq!(request(line).unwrap(), Request::ForceRewrite(want));
}

#[test]
fn wrong_command_lines_are_told_in_one_line() {
    for line in [
        "",
        "up",
        "sideways",
        "up down",
        "--session S up",
        "--pif P up",
        "--pif P --pif-uuid U up",
        "--session S --pif P --pif-uuid U up",
        "--session S --pif-uuid U up",
        "--session S --management up",
        "--management up",
        "--management down",
        "--force xenbr0 --session S up",
        "--force xenbr0 --pif-uuid U up",
        "--force -x up",
        "--force x;y up",
        "--force",
        "--pif-uuid U rewrite",
        "--pif-uuid U --device eth0 up",
        "--device eth0 rewrite",
        "--force xenbr0 --mode dhcp up",
        "--force xenbr0 rewrite",
        "--force xenbr0 rewrite --device eth0 --mode dhcp",
        "--force xenbr0 rewrite --device eth0 --mac 00:16:3e --mode dhcp",
        "--force xenbr0 rewrite --device eth0.5 --mac 00:16:3e:00:00:01 --mode dhcp",
        "--force xenbr0 rewrite --device a/b --mac 00:16:3e:00:00:01 --mode dhcp",
        "--force xenbr0 rewrite --device eth0 --mac 00:16:3e:00:00:01 --mode maybe",
        "--force xenbr0 rewrite --device eth0 --mac 00:16:3e:00:00:01 --mode static",
        "--force xenbr0 rewrite --device eth0 --mac 00:16:3e:00:00:01 --mode static --ip 192.0.2.1",
        "--force xenbr0 rewrite --device eth0 --mac 00:16:3e:00:00:01 --mode static --ip 1.2.3 --netmask 255.0.0.0",
        "--force xenbr0 rewrite --device eth0 --mac 00:16:3e:00:00:01 --mode dhcp --ip 192.0.2.1",
        "--force xenbr0 rewrite --device eth0 --mac 00:16:3e:00:00:01 --mode static --ip ::1 --netmask 255.0.0.0",
        "--force xenbr0 rewrite --device eth0 --mac 00:16:3e:00:00:01 --mode static --ip 192.0.2.1 --netmask ffff::",
        "--force xenbr0 rewrite --device eth0 --mac 00:16:3e:00:00:01 --mode static --ip 192.0.2.1 --netmask 255.0.255.0",
        "--force xenbr0 rewrite --device eth0 --mac 00:16:3e:00:00:01 --mode static --ip 192.0.2.1 --netmask 0.0.0.0",
        "--force xenbr0 rewrite --device eth0 --mac 00:16:3e:00:00:01 --mode static --ip 192.0.2.1 --netmask 255.0.0.0 --gateway ::1",
        "--root-prefix",
        "--what up",
    ] {
        let error = request(line).expect_err(line);
        assert_eq!(error.exit_status(), 2, "{line}: {error}");
        let text = error.to_string();
        assert!(!text.contains('\n') && text.len() > 10, "{line}: {text:?}");
    }
}

#[test]
fn the_tool_is_named_by_the_program_or_by_its_first_argument() {
    let case = |words: &[&str]| {
        let (name, rest) = tool(words.iter().map(OsString::from).collect());
        (name, rest.len())
    };
    assert_eq!(case(&["/x/vif", "add"]), ("vif".into(), 2));
    assert_eq!(case(&["/x/ovs-xenserver", "vif", "add"]), ("vif".into(), 2));
    assert_eq!(case(&["ovs-xenserver", "man", "d"]), (PROGRAM.into(), 3));
    assert_eq!(case(&[]), (PROGRAM.into(), 0));
}

#[test]
fn command_lines_and_pages_are_sound() {
    Program::command().debug_assert();
    for (command, name) in commands().into_iter().zip(TOOLS) {
        assert_eq!(command.get_name(), name);
        command.clone().debug_assert();
        let page = String::from_utf8(pages::page(command).unwrap()).unwrap();
        for section in [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "OPTIONS",
            "EXIT STATUS",
            "FILES",
        ] {
            let title = format!(".SH \"{section}\"");
            let plain = format!(".SH {section}");
            assert!(
                page.contains(&title) || page.contains(&plain),
                "{name}: no {section}"
            );
        }
    }
}

#[test]
fn pages_say_what_the_programs_do() {
    let page = |name: &str| {
        let command = commands().into_iter().find(|c| c.get_name() == name);
        let text = String::from_utf8(pages::page(command.unwrap()).unwrap()).unwrap();
        text.replace('\\', "")
    };
    let vif = page("vif");
    for word in [
        "-action online or remove",
        "-vifuuid",
        "-vmuuid",
        "INTERFACE",
        "XENBUS_PATH",
    ] {
        assert!(vif.contains(word), "{word}: {vif}");
    }
    assert!(page("interface-reconfigure").contains("unless the text says"));
}
