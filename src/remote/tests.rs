use super::*;

#[test]
fn a_code_is_read_as_people_type_it_and_never_shown_by_debug() -> Result<()> {
    // 60 bits: 0, 1, …, 11 in five bits each.
    let bits = (0..12_u64).fold(0, |bits, digit| bits << 5 | digit);
    let code = OneTimeCode::of(bits);
    assert_eq!(code.to_string(), "0123-4567-89AB");
    assert_eq!(OneTimeCode::of(u64::MAX).to_string(), "ZZZZ-ZZZZ-ZZZZ");
    for typed in ["0123-4567-89AB", " o123 4567 89ab ", "OI23456789AB", "0l2345-6789-ab"] {
        assert_eq!(typed.parse::<OneTimeCode>()?, code, "{typed}");
    }
    assert_eq!(format!("{code:?}"), "OneTimeCode(…)");
    assert_eq!(serde_json::to_value(&code).expect("JSON"), "0123-4567-89AB");
    for wrong in ["", "0123-4567-89A", "0123-4567-89ABC", "0123-4567-89AU", "0123-4567-89Ä"] {
        let error = wrong.parse::<OneTimeCode>().expect_err("no code");
        assert!(!format!("{error:#}").contains("0123-4567-89"), "{error}");
    }
    Ok(())
}

#[test]
fn an_invitation_needs_a_name_and_a_right() -> Result<()> {
    let watch: Grants = "watch".parse()?;
    Invitation::new("handheld 7", watch.clone()).station("bar").check()?;
    for name in ["", " 7", "7 ", "a\nb", &"x".repeat(65)] {
        assert_eq!(Invitation::new(name, watch.clone()).check().expect_err("wrong").kind(), Kind::Input, "{name:?}");
        assert!(Invitation::new("7", watch.clone()).station(name).check().is_err(), "{name:?}");
    }
    assert!(Invitation::new("handheld 7", Grants::default()).check().is_err());
    Ok(())
}
