use std::sync::Arc;

use tresen_hal::{Amount, Link, SystemRuntime};
use tresen_payment::MemoryJournal;

use super::*;
use crate::manager::Printers;

fn address(text: &str) -> Address {
    text.parse().expect(text)
}

#[test]
fn each_class_has_its_protocols_links_and_options() {
    let drivers = Drivers::standard();
    let check = |class: Class, text: &str| drivers.check(class, &address(text)).map_err(|e| (e.kind(), e.to_string()));
    for (class, right) in [
        (Class::Printer, "escpos+tcp://bar"),
        (Class::Printer, "escpos+usb://04b8:0202?profile=epson-tm-m30"),
        (Class::Terminal, "zvt+tcp://10.0.0.30?password=000000"),
        (Class::Terminal, "opi+tcp://10.0.0.31?dialect=swiss&listen=usual&workstation=2"),
        (Class::Terminal, "nexo+tcp://10.0.0.32?poi=V400m-1&key=shop&passphrase=test123&partial=true&tip=true"),
        (Class::Terminal, "paytec+tcp://10.0.0.33?language=fr&commit=reverses"),
        (Class::Terminal, "paytec+serial:///dev/ttyUSB0?pos=K7"),
        #[cfg(feature = "tls")]
        (
            Class::Terminal,
            "paytec+tls://10.0.0.33:18307?fingerprint=0000000000000000000000000000000000000000000000000000000000000000",
        ),
        (Class::Scanner, "scanner+hid://05e0:1900?usage=1"),
        (Class::Scanner, "scanner+serial:///dev/ttyACM0?baud=9600"),
        (Class::Camera, "camera+v4l2:///dev/video0?width=1280&height=720&format=mjpeg&fps=30&codes=qr"),
        (Class::Camera, "camera+file:///tmp?fps=5&loop=true&codes=pdf-417,qr&frames=3"),
    ] {
        check(class, right).unwrap_or_else(|(_, e)| panic!("{right}: {e}"));
    }
    for (class, wrong, kind, part) in [
        (Class::Printer, "zvt+tcp://bar", Kind::Address, "protocols of printers: escpos"),
        (Class::Scanner, "acme+tcp://bar", Kind::Address, "do not support `acme`"),
        (Class::Printer, "escpos+file:///tmp/x", Kind::Address, "printers do not support `file` links"),
        (Class::Scanner, "scanner+v4l2:///dev/video0", Kind::Address, "scanners do not support `v4l2` links"),
        (Class::Terminal, "zvt+usb://04b8:0e15", Kind::Unsupported, "zvt+serial:///dev/ttyUSB0"),
        (Class::Terminal, "zvt+tcp://t?t2=3", Kind::Address, "framing=serial"),
        (Class::Terminal, "zvt+serial:///dev/ttyS0?framing=usb", Kind::Address, "serial or tcp"),
        (Class::Terminal, "opi+serial:///dev/ttyS0", Kind::Unsupported, "opi+tcp://HOST"),
        (Class::Terminal, "opi+tcp://t?dialect=french", Kind::Address, "german, swiss, ifsf"),
        (Class::Terminal, "nexo+serial:///dev/ttyS0?poi=V400m-1", Kind::Unsupported, "nexo+https://HOST"),
        (Class::Terminal, "nexo+https://t?key=shop&passphrase=test123", Kind::Address, "`poi` is missing"),
        (Class::Terminal, "nexo+https://t/nexo?poi=V400m-1", Kind::Unsupported, "nexo+https://HOST"),
        (Class::Terminal, "paytec+spp://00:11:22:33:44:55", Kind::Unsupported, "paytec+tcp://HOST"),
        (Class::Terminal, "paytec+tcp://t?commit=maybe", Kind::Address, "reverses, unknown"),
        #[cfg(not(feature = "tls"))]
        (Class::Terminal, "nexo+https://t?poi=a&encryption=false", Kind::Unsupported, "feature `tls`"),
        (Class::Printer, "escpos+tcp://bar?widht=576", Kind::Address, "unknown option `widht`"),
        (Class::Printer, "escpos+tcp://bar?width=5", Kind::Address, "takes 100 to 4096 dots"),
        (Class::Camera, "camera+file:///tmp?codes=nonsense", Kind::Address, "codes=nonsense"),
        (Class::Camera, "camera+v4l2:///dev/video0?format=h264", Kind::Address, "format=h264"),
        (Class::Camera, "camera+v4l2:///dev/video0?loop=true", Kind::Address, "unknown option `loop`"),
        (Class::Camera, "camera+file:///tmp?width=640", Kind::Address, "unknown option `width`"),
        (Class::Camera, "camera+http://host/stream", Kind::Unsupported, "not supported"),
    ] {
        let (found, message) = check(class, wrong).expect_err(wrong);
        assert!(found == kind && message.contains(part), "{wrong}: {found:?} {message}");
    }
}

#[test]
fn an_address_without_a_port_has_its_protocols() {
    let mut drivers = Drivers::standard();
    let acme = Protocol::new::<Printers>("acme", |address| {
        Ok(Plan::at(address, |_link, _context| async { Err(Error::new(Kind::Unsupported, "never opened")) }))
    });
    drivers.register(acme.clone().port(4711).options(|_| vec!["speed"])).expect("new");
    for (given, resolved) in [
        ("escpos+tcp://bar", "escpos+tcp://bar:9100"),
        ("zvt+tcp://t", "zvt+tcp://t:20007"),
        ("opi+tcp://t", "opi+tcp://t:20002"),
        ("opi+tcp://t?dialect=swiss", "opi+tcp://t:4100?dialect=swiss"),
        ("nexo+https://t?poi=V400m-1", "nexo+https://t:8443?poi=V400m-1"),
        ("paytec+tcp://t", "paytec+tcp://t:8307"),
        ("acme+tcp://p?speed=2", "acme+tcp://p:4711?speed=2"),
        ("acme+tcp://p:1", "acme+tcp://p:1"),
        ("scanner+tcp://s", "scanner+tcp://s"),
    ] {
        assert_eq!(drivers.resolve(&address(given)).to_string(), resolved);
    }
    let plan = drivers.plan::<Printers>(&address("acme+tcp://p?speed=2")).expect("known");
    assert_eq!(plan.label(), "acme+tcp://p:4711");
    assert_eq!(drivers.class_of(&address("acme+tcp://p")).expect("known"), Class::Printer);
    let twice = drivers.register(acme).expect_err("taken");
    assert!(twice.to_string().contains("already"), "{twice}");
    let other_class =
        Protocol::new::<crate::manager::Scanners>("acme", |_| Err(Error::new(Kind::Unsupported, "never")));
    assert_eq!(drivers.register(other_class).expect_err("taken by printers").kind(), Kind::Config);
    let clash = Protocol::new::<Printers>("clash", |_| Err(Error::new(Kind::Unsupported, "never parsed")));
    drivers.register(clash.options(|_| vec!["record"])).expect("new");
    let error = drivers.plan::<Printers>(&address("clash+tcp://p:1")).expect_err("`record` is the link's");
    assert!(error.to_string().contains("option `record` of `clash` is also one of its link"), "{error}");
    let odd = Protocol::new::<Printers>("Acme+", |_| Err(Error::new(Kind::Unsupported, "never parsed")));
    assert_eq!(drivers.register(odd).expect_err("cannot stand in an address").kind(), Kind::Config);
}

#[tokio::test]
async fn a_link_without_a_port_is_refused_before_anything_is_opened() {
    let error = link::open(&address("acme+tcp://127.0.0.1")).await.expect_err("no port");
    assert_eq!(error.kind(), Kind::Address);
    assert!(error.to_string().contains("`acme` has no default"), "{error}");
}

#[test]
fn what_discovery_sees_gets_the_protocol_of_the_table() {
    use tresen_hal::discovery::DeviceKind;

    let drivers = Drivers::standard();
    let found = |kind| {
        let mut found = Found::new(LinkKind::Serial { path: "/dev/x".into() }, "a device");
        found.kind = kind;
        drivers.recognised(found).protocol
    };
    assert_eq!(found(Some(DeviceKind::ReceiptPrinter)).as_deref(), Some("escpos"));
    assert_eq!(found(Some(DeviceKind::Scanner)).as_deref(), Some("scanner"));
    assert_eq!(found(Some(DeviceKind::Camera)).as_deref(), Some("camera"));
    assert_eq!((found(Some(DeviceKind::OtherPrinter)), found(None)), (None, None));
}

#[tokio::test]
async fn a_plan_opens_again_and_again_over_a_link_of_the_callers() {
    use tresen_hal::link::memory;
    use tresen_payment::zvt;
    use tresen_payment::zvt::sim::{Profile, Simulator};

    let device = tresen_hal::sim::Shared::new(Simulator::new(Profile::default()));
    let served = device.clone();
    let open = move || {
        let (near, far) = memory::pair();
        let device = served.clone();
        tokio::spawn(async move { tresen_hal::sim::link(&far, &device).await });
        async move { Ok(Box::new(near) as Box<dyn Link>) }
    };
    let plan: Plan<dyn tresen_payment::Terminal> =
        Plan::over("the terminal in memory", open, |link, context: Context| async move {
            let journal = context.journal.expect("given");
            let options = zvt::Options::new(context.name);
            Ok(Box::new(zvt::open(link, options, journal, context.runtime).await?) as _)
        });
    let journal = Arc::new(MemoryJournal::new());
    for round in 0..2 {
        let context =
            Context::new("counter").with_journal(journal.clone()).with_runtime(Arc::new(SystemRuntime::new()));
        let mut terminal = plan.open(context).await.expect("opens");
        terminal.recover().await.expect("answers");
        let request = tresen_payment::Request::new(format!("sale {round}"), Amount::eur(1_00));
        let payment = terminal.pay(request, tresen_payment::Host::none()).await.expect("decided");
        assert!(matches!(payment, tresen_payment::Payment::Charged(_)), "{payment:?}");
        terminal.close().await;
    }
}
