use super::device::{Entered, Line, Target};
use super::*;

/// tillhub/payment-engine-android, `OPIChannel0Test`: a terminal's answer to a girocard payment. The card number is
/// that repository's.
const PAYMENT: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<CardServiceResponse
	xmlns="http://www.nrf-arts.org/IXRetail/namespace"
	xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://www.nrf-arts.org/IXRetail/namespace file:///C:/Windows/O.P.I.Schema/CardResponse.xsd" RequestType="CardPayment" WorkstationID="1" RequestID="20544" OverallResult="Success">
	<Terminal TerminalID="68276185" STAN="021601"/>
	<Tender>
		<TotalAmount Currency="EUR">39.50</TotalAmount>
		<Authorisation AuthorisationType="Online" CardCircuit="girocard" CardPAN="6805330010086784747" Merchant="VU-123456789017" ReceiptNumber="8930" ActionCode="0" TimeStamp="2024-02-09T09:36:28-00:00" AcquirerID="undefined"/>
	</Tender>
	<PrivateData>
		<CardTechnologyType>NFC</CardTechnologyType>
		<ErrorCode>1002700</ErrorCode>
		<ErrorText>Zahlung erfolgt</ErrorText>
	</PrivateData>
	<CardValue><ExpiryDate>1227</ExpiryDate></CardValue>
</CardServiceResponse>"#;

/// The same repository, `ConvertersTest`.
const CLOSURE: &str = r#"<ServiceResponse xmlns="http://www.nrf-arts.org/IXRetail/namespace"
    RequestType="ReconciliationWithClosure" WorkstationID="1" RequestID="20792" OverallResult="Success">
    <Terminal TerminalID="68276185" STAN="021888"/>
    <Authorisation TimeStamp="2024-02-20T18:58:39-00:00"/>
    <Reconciliation>
        <TotalAmount NumberPayments="8" PaymentType="Debit" Currency="EUR" CardCircuit="girocard">338.00</TotalAmount>
        <TotalAmount NumberPayments="3" PaymentType="Debit" Currency="EUR" CardCircuit="VISA">87.00</TotalAmount>
    </Reconciliation>
    <PrivateData><ErrorCode>1002700</ErrorCode></PrivateData>
</ServiceResponse>"#;

/// The same repository, `ConvertersTest`: a device request without the namespace.
const DISPLAY: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<DeviceRequest RequestType="Output" RequestID="20792" WorkstationID="1" SequenceID="2" TerminalID="68276185" ApplicationSender="Thales-OPI"
	xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="file:///C:/Windows/O.P.I.Schema/DeviceRequest.xsd">
	<Output OutDeviceTarget="CashierDisplay">
		<TextLine Column="0" Row="0">Vorgang wird</TextLine>
		<TextLine Column="0" Row="1">bearbeitet</TextLine>
	</Output>
</DeviceRequest>"#;

fn response(text: &str) -> Response {
    match Message::parse(text.as_bytes()) {
        Ok(Message::Response(response)) => *response,
        other => panic!("{other:?}"),
    }
}

fn device(text: &str) -> DeviceRequest {
    match Message::parse(text.as_bytes()) {
        Ok(Message::DeviceRequest(request)) => request,
        other => panic!("{other:?}"),
    }
}

#[test]
fn reads_a_payment_that_a_terminal_approved() {
    let payment = response(PAYMENT);
    assert_eq!((payment.family, &payment.result), (Family::Card, &OverallResult::Success));
    assert_eq!((payment.header.request_id.as_str(), payment.header.is("cardpayment")), ("20544", true));
    assert_eq!((payment.terminal_id.as_deref(), payment.stan.as_deref()), (Some("68276185"), Some("021601")));
    assert_eq!(payment.amount(Currency::EUR), Ok(Some(Amount::eur(39_50))));
    let authorisation = &payment.authorisation;
    assert_eq!((authorisation.circuit.as_deref(), authorisation.receipt.as_deref()), (Some("girocard"), Some("8930")));
    assert_eq!(authorisation.merchant.as_deref(), Some("VU-123456789017"));
    assert_eq!(payment.at(), Some(jiff::civil::date(2024, 2, 9).at(9, 36, 28, 0)));
    assert_eq!(
        (payment.error_code.as_deref(), payment.error_text.as_deref()),
        (Some("1002700"), Some("Zahlung erfolgt"))
    );
    assert_eq!(
        payment.raw.child("CardValue").and_then(|c| c.value("ExpiryDate")),
        Some("1227"),
        "unknown ones are kept"
    );
    assert!(!format!("{payment:?}").contains("784747"), "no card number in Debug");
}

#[test]
fn reads_the_totals_of_a_closure_and_the_words_of_a_bridge() {
    let closure = response(CLOSURE);
    let totals: Vec<_> =
        closure.totals.iter().map(|t| (t.number, t.circuit.as_deref(), t.amount(Currency::EUR))).collect();
    let expected =
        [(Some(8), Some("girocard"), Some(Amount::eur(338_00))), (Some(3), Some("VISA"), Some(Amount::eur(87_00)))];
    assert_eq!(totals, expected);
    // The JTL bridge of the facts: `PrivateData` as `answer-txt=…`.
    let bridge = response(
        "<CardServiceResponse OverallResult='Failure' RequestType='CardPayment' RequestID='1'><PrivateData>answer-txt=no reader</PrivateData></CardServiceResponse>",
    );
    assert_eq!((bridge.error_text.as_deref(), bridge.stan, bridge.total), (Some("no reader"), None, None));
}

#[test]
fn reads_what_a_terminal_wants_shown_printed_and_asked() {
    let display = device(DISPLAY);
    assert_eq!((display.header.request_id.as_str(), display.sequence.as_deref()), ("20792", Some("2")));
    assert_eq!(display.terminal_id.as_deref(), Some("68276185"));
    let [output] = &display.outputs[..] else { panic!("{display:?}") };
    let lines: Vec<_> = output.lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!((&output.target, lines), (&Target::CashierDisplay, vec!["Vorgang wird", "bearbeitet"]));
    assert!(!format!("{display:?}").contains("bearbeitet"));
    // Mastercard's ATS client, `DeviceRequestTest`.
    let text = r#"<DeviceRequest xmlns="http://www.nrf-arts.org/IXRetail/namespace" RequestType="Output" WorkstationID="43214321" POPID="2" RequestID="179" SequenceID="1">
        <Output OutDeviceTarget="CashierDisplay" Category="1" Code="41">
            <TextLine Erase="true">Please present or insert card</TextLine>
        </Output></DeviceRequest>"#;
    let other = device(text);
    assert_eq!(
        (other.header.pop.as_deref(), other.outputs[0].lines[0].text.as_str()),
        (Some("2"), "Please present or insert card")
    );
    // The facts name targets and commands; the shape of a question is made up of them.
    let question = device(
        "<DeviceRequest RequestType='Input' RequestID='3'><Output OutDeviceTarget='CashierDisplay'><TextLine>Signature?</TextLine></Output><Input InDeviceTarget='CashierKeyboard'><Command>GetConfirmation</Command></Input></DeviceRequest>",
    );
    let input = question.input.expect("a question");
    assert_eq!((input.target.as_str(), input.command.as_str()), ("CashierKeyboard", "GetConfirmation"));
}

/// The shapes of the facts, and of `SECposPay` in tillhub/payment-engine-android, `CardServiceRequest`.
#[test]
fn writes_what_the_examples_show() {
    let mut request = Request::new(Family::Card, "PaymentReversal", "0");
    request.header = Header {
        pop: Some("001".into()),
        workstation: Some("1".into()),
        sender: Some("SECposPay".into()),
        ..request.header
    };
    request.at = Some(jiff::civil::date(2007, 5, 23).at(13, 24, 19, 0));
    request.original = Some(Original { stan: "29".into(), ..Original::default() });
    let expected = "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><CardServiceRequest ApplicationSender=\"SECposPay\" POPID=\"001\" \
        RequestID=\"0\" RequestType=\"PaymentReversal\" WorkstationID=\"1\" xmlns=\"http://www.nrf-arts.org/IXRetail/namespace\">\
        <POSdata><POSTimeStamp>2007-05-23T13:24:19</POSTimeStamp></POSdata><OriginalTransaction STAN=\"29\"/></CardServiceRequest>";
    assert_eq!(String::from_utf8(request.to_bytes(Encoding::Latin1)).expect("ASCII"), expected);
    let mut payment = Request::new(Family::Card, "CardPayment", "2");
    payment.language = Some("de".into());
    payment.amount = Some(Amount::eur(39_50));
    let text = String::from_utf8(payment.to_bytes(Encoding::Utf8)).expect("UTF-8");
    assert!(text.contains("<POSdata LanguageCode=\"de\"/><TotalAmount Currency=\"EUR\">39.50</TotalAmount>"), "{text}");
    let answer = DeviceResponse {
        header: Header { workstation: Some("1".into()), ..Header::new("Output", "3") },
        result: OverallResult::Success,
        outputs: vec![(Target::CashierDisplay, OverallResult::Success)],
        input: Some(Entered { target: "CashierKeyboard".into(), result: OverallResult::Success, yes: Some(true) }),
        original: None,
    };
    let text = String::from_utf8(answer.to_bytes(Encoding::Utf8)).expect("UTF-8");
    assert!(text.ends_with("OverallResult=\"Success\"><Output OutDeviceTarget=\"CashierDisplay\" OutResult=\"Success\"/>\
        <Input InDeviceTarget=\"CashierKeyboard\" InResult=\"Success\"><InputValue><InBoolean>true</InBoolean></InputValue></Input></DeviceResponse>"), "{text}");
}

#[test]
fn fields_may_be_attributes_or_elements() {
    let text = "<CardServiceResponse><RequestType>CardPayment</RequestType><RequestID>7</RequestID><OverallResult>success</OverallResult>\
        <Terminal><TerminalID>1</TerminalID><STAN>5</STAN></Terminal><OriginalHeader><RequestID>6</RequestID>\
        <RequestType>CardPayment</RequestType><OverallResult>Aborted</OverallResult></OriginalHeader></CardServiceResponse>";
    let read = response(text);
    assert_eq!(
        (read.header.request_id.as_str(), &read.result, read.stan.as_deref()),
        ("7", &OverallResult::Success, Some("5"))
    );
    let original = read.original.expect("there");
    assert_eq!((original.request_id.as_str(), original.result), ("6", OverallResult::Aborted));
}

#[test]
fn an_amount_that_cannot_be_read_is_said_and_a_missing_one_is_none() {
    let with = |total: &str| {
        response(&format!("<CardServiceResponse><Tender>{total}</Tender></CardServiceResponse>")).amount(Currency::EUR)
    };
    assert_eq!(with(""), Ok(None));
    assert_eq!(with("<TotalAmount>5</TotalAmount>"), Ok(Some(Amount::eur(5_00))));
    assert_eq!(with("<TotalAmount Currency='XXX'>5</TotalAmount>"), Err("5 XXX".to_owned()));
    assert_eq!(with("<TotalAmount>5,00</TotalAmount>"), Err("5,00".to_owned()));
}

#[test]
fn responses_and_device_messages_read_back() {
    let mut sent = response(PAYMENT);
    sent.original = Some(OriginalHeader {
        request_type: "CardPayment".into(),
        request_id: "1".into(),
        result: OverallResult::Success,
    });
    let read = response(&String::from_utf8(sent.to_bytes(Encoding::Utf8)).expect("UTF-8"));
    sent.raw = read.raw.clone();
    assert_eq!(read, sent);
    let mut asked = device(DISPLAY);
    asked.outputs[0].lines.push(Line { text: "  ä ".into(), cut: true });
    for encoding in [Encoding::Utf8, Encoding::Latin1] {
        assert_eq!(Message::parse(&asked.to_bytes(encoding)), Ok(Message::DeviceRequest(asked.clone())));
    }
    assert_eq!(Message::parse(b"<Response/>"), Ok(Message::Unknown("Response".into())));
}
