//! Reading a status information allocates nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use tresen_payment::zvt::commands::status_info::StatusInfo;

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|c| c.set(c.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(f: impl FnOnce()) -> usize {
    let before = COUNT.with(Cell::get);
    f();
    COUNT.with(Cell::get) - before
}

#[test]
fn reading_a_status_information_allocates_nothing() {
    // The field capture, a masked card number, a long trace number in its tag, and an unknown BMP.
    let bytes: &[u8] = &[
        0x27, 0x00, 0x04, 0, 0, 0, 0, 0x25, 0, 0x49, 9, 0x78, 0x0c, 0x22, 0x55, 0x58, 0x0d, 0x04, 0x05, 0x22, 0xf0,
        0xf3, 0x67, 0xee, 0x12, 0x0b, 0, 0, 0, 0x87, 0x04, 0x17, 0x06, 0x07, 0x1f, 0x2b, 0x04, 0x01, 0x23, 0x45, 0x67,
        0x77, 0x01,
    ];
    let mut read = None;
    let count = allocations(|| {
        let info = StatusInfo::parse(bytes);
        let numbers = [info.amount, info.receipt, info.trace(), info.time].map(|b| b.and_then(|b| b.number()));
        read = Some((info.result, numbers, info.fields().count(), info.rest().map(|(at, _)| at)));
    });
    assert_eq!(read, Some((Some(0), [Some(2500), Some(417), Some(1_234_567), Some(225_558)], 9, Some(41))));
    assert_eq!(count, 0);
    assert!(allocations(|| drop(std::hint::black_box(vec![1u8]))) > 0, "the count counts");
}
