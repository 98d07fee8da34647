//! Receipts as JSON files, as people and programs write them.

use tresen_printers::document::{Barcode, Cell, Image, Problem, Qr, Receipt, Row, Span, Style};
use tresen_printers::escpos::sim::preview;
use tresen_printers::{DrawerPin, Profile};

fn read(json: &str) -> Receipt {
    serde_json::from_str(json).unwrap_or_else(|e| panic!("{e}: {json}"))
}

#[test]
fn what_json_leaves_out_is_as_in_rust() {
    const DOT: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==";
    let json = format!(
        r#"{{ "items": [
            {{ "type": "text", "text": "a" }},
            {{ "type": "row", "cells": ["b"] }},
            {{ "type": "rule" }},
            {{ "type": "qr", "data": "c" }},
            {{ "type": "barcode", "symbology": "ean-13", "data": "400638133393" }},
            {{ "type": "image", "png": "{DOT}" }},
            {{ "type": "feed" }},
            {{ "type": "drawer" }},
            {{ "type": "cut" }}
        ] }}"#
    );
    let image = Image::grey(1, 1, vec![0]).expect("a dot");
    let expected = Receipt::new()
        .text("a")
        .columns(Row::new([Cell::flex("b")]))
        .rule()
        .qr(Qr::new("c").expect("short"))
        .barcode(Barcode::ean13("400638133393").expect("twelve digits"))
        .image(image)
        .feed(1)
        .drawer(DrawerPin::Two)
        .cut();
    assert_eq!(read(&json), expected);
}

#[test]
fn the_example_receipt_prints() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/receipt.json");
    let receipt = read(&std::fs::read_to_string(file).expect("the example"));
    for profile in Profile::all() {
        assert_eq!(receipt.check(&profile), [], "{}", profile.name);
        let printed = preview(&receipt, &profile);
        assert_eq!((printed.unsupported.len(), printed.sheets.len(), printed.kicks.len()), (0, 1, 1));
        let text = printed.sheets[0].text();
        for part in [
            "C a f é   T r e s e n",
            "1 Käsekuchen",
            "11,80",
            "davon 7 % MwSt 0,77",
            "[QR https://example.com/r/42]",
            "2026112100000042",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}

#[test]
fn a_mistake_in_json_is_explained() {
    for (json, why) in [
        (r#"{"items":[{"type":"txt"}]}"#, "unknown variant `txt`"),
        (r#"{"items":[{"type":"barcode","symbology":"ean-13","data":"4006381333930"}]}"#, "check digit"),
        (r#"{"items":[{"type":"barcode","symbology":"gs1-128","data":"0109"}]}"#, "brackets"),
    ] {
        let error = serde_json::from_str::<Receipt>(json).expect_err(json).to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn problems_are_told_in_words() {
    let receipt = Receipt::new().text("漢字 ₪").qr(Qr::new("x".repeat(2000)).expect("40-M"));
    let mut profile = Profile::generic_58();
    profile.width = tresen_hal::Dots(100);
    let problems = receipt.check(&profile);
    assert_eq!(problems[1], Problem::TooWide { item: 1 });
    let words: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(words[0], "item 1: this printer has no `漢`, `字`, `₪` and prints ? instead");
    assert!(words[1].starts_with("item 2: the code is wider than the paper"), "{words:?}");
}

/// Written in words a Romanian, a Swiss and a Mac user would: what no page has is written in another way.
#[test]
fn text_that_no_page_has_is_written_in_another_way() {
    let receipt = Receipt::new().text("Bucures\u{326}ti, Țara, STRAẞE, 5′ → 6″, cafe\u{301}");
    for profile in Profile::all() {
        assert_eq!(receipt.check(&profile), [], "{}", profile.name);
        let printed = preview(&receipt, &profile);
        let words = printed.roll().text().replace('\n', " ");
        assert_eq!(words.trim(), "Bucureşti, Ţara, STRASSE, 5' -> 6\", café", "{}", profile.name);
    }
}

/// ESC E turns bold on and off, GS ! 10h doubles the width.
#[test]
fn several_styles_stand_on_one_line_and_in_one_cell() {
    let (bold, wide) = (Style::new().bold(), Style::new().size(2, 1));
    let receipt = Receipt::new()
        .text([Span::from("only "), Span::new("now", bold)])
        .columns(Row::new([Cell::flex("a"), Cell::fit([Span::from("b"), Span::new("c", wide)]).style(bold)]));
    let json = r#"{"items":[
        {"type":"text","text":["only ",{"text":"now","style":{"bold":true}}]},
        {"type":"row","cells":["a",{"text":["b",{"text":"c","style":{"width":2}}],"width":"fit","style":{"bold":true}}]}
    ]}"#;
    assert_eq!(read(json), receipt);
    assert_eq!(read(&serde_json::to_string(&receipt).expect("serialises")), receipt);
    let profile = Profile::generic_58();
    let bytes = tresen_printers::escpos::encode(&receipt, &profile);
    let row = [&b"a"[..], &[b' '; 28], b"\x1bE\x01b\x1bE\x00\x1d!\x10c\n\x1d!\x00"].concat();
    assert_eq!(bytes, [&b"\x1b@\x1bR\x00\x1bt\x13only \x1bE\x01now\n\x1bE\x00"[..], &row].concat());
    assert_eq!(tresen_printers::layout::preview(&receipt, 32), format!("only now\na{}bc\n", " ".repeat(28)));
}
