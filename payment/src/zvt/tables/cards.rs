//! Kinds of card: BMP 8A, and tag 41 for those beyond 255.

/// The name of a kind of card; `None` if it is not listed here. The terminal's own name is in BMP 8B.
pub fn card_type(id: u16) -> Option<&'static str> {
    CARD_TYPES.binary_search_by_key(&id, |entry| entry.0).ok().map(|at| CARD_TYPES[at].1)
}

/// Payment schemes and the fleet and fuel cards of several countries: PA00P015 13.13, chapter 12. Left out: customer,
/// gift and telephone cards of single companies.
#[rustfmt::skip]
pub const CARD_TYPES: &[(u16, &str)] = &[
    (2, "ec card"), (5, "girocard"), (6, "Mastercard"), (7, "EAPS"), (8, "American Express"),
    (9, "direct debit"), (10, "Visa"), (11, "Visa Electron"), (12, "Diners"), (13, "V PAY"),
    (14, "JCB"), (15, "REKA Card"), (16, "Esso fleet card"), (18, "DKV/SVG"), (20, "Shell fleet card"),
    (21, "Payeasy"), (24, "Leaseplan"), (26, "OK"), (28, "UTA"), (30, "Geldkarte"),
    (42, "Comfort Card"), (46, "Maestro"), (47, "GiftCard"), (67, "WIRcard"), (69, "PostFinance Card"),
    (83, "Lunch-Check Card"), (87, "Bancontact"), (89, "PAYBACK PAY"), (97, "Alipay"), (101, "EuroWAG"),
    (103, "ARBÖ card"), (104, "ÖAMTC card"), (106, "GroupCard"), (107, "Alipay"), (108, "Cheque Dejeuner"),
    (111, "Instant Payment"), (113, "E100 fuel card"), (118, "Salamantex"), (119, "PayPal"), (120, "Klarna"),
    (124, "European Diesel Card"), (125, "TWINT"), (126, "Payconiq"), (127, "AirPlus"), (146, "DKV Card"),
    (154, "Elf fleet card"), (156, "Agip fleet card"), (158, "Total fleet card"), (160, "AVIA"),
    (162, "BFT fleet card"), (164, "Routex fleet card"), (196, "Dankort"), (197, "Visa/Dankort"),
    (198, "UnionPay"), (201, "Lunch Card"), (217, "Austria Card"), (221, "ADAC"), (232, "Discover Card"),
    (254, "Novofleet Card"), (260, "BLUECODE"), (261, "WeChat Pay"), (266, "Sodexo"), (269, "Edenred"),
];
