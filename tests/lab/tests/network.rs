//! A network printer behind a bad network: delay, loss, a pulled cable, nobody there.
#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tresen_hal::sim::Shared;
use tresen_hal::{Address, Kind, Link, link};
use tresen_lab::net::{DEVICE, Network};
use tresen_lab::{Paper, Race, measured, until, within};

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}

fn address(port: u16) -> Address {
    Address::tcp("escpos", DEVICE.to_string(), port)
}

async fn ask(link: &dyn Link) -> Duration {
    let start = Instant::now();
    link.send(&[0x10, 0x04, 0x01]).await.expect("sent");
    let mut answer = Vec::new();
    within("the answer", link.recv(&mut answer)).await.expect("answered");
    assert_eq!(answer, [0x12]);
    start.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_byte_arrives_through_delay_loss_and_disorder() {
    let network = Network::new();
    let paper = Shared::new(Paper::default());
    let device = network.serve(9100, paper.clone());
    let job = pattern(50_000);
    for how in ["delay 100ms", "loss 10%", "delay 10ms reorder 25% 50%", "corrupt 5%", "rate 1mbit"] {
        network.disturb(how);
        paper.with(|p| p.printed.clear());
        let start = Instant::now();
        let link = link::open(&address(device.port())).await.unwrap_or_else(|e| panic!("{how}: {e}"));
        within(how, link.send(&job)).await.unwrap_or_else(|e| panic!("{how}: {e}"));
        let answered = ask(&*link).await;
        let printed = paper.with(|p| p.printed.clone());
        assert!(printed.starts_with(&job) && printed.len() == job.len() + 3, "{how}: {} bytes", printed.len());
        measured(&format!(
            "network, {how}: 50 kB and the answer {} ms, the answer alone {} ms",
            start.elapsed().as_millis(),
            answered.as_millis()
        ));
        within("closing", link.close()).await;
    }
    network.calm();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cable_put_back_in_time_costs_nothing() {
    let network = Network::new();
    let paper = Shared::new(Paper::default());
    let device = network.serve(9100, paper.clone());
    // Slow enough that nobody misses the middle of the job.
    network.disturb("rate 100kbit");
    let link = std::sync::Arc::new(link::open(&address(device.port())).await.expect("opens"));
    let job = pattern(200_000);
    let sending = {
        let (link, job) = (link.clone(), job.clone());
        tokio::spawn(async move { link.send(&job).await })
    };
    until("the job to begin", || paper.with(|p| p.printed.len() > 1000));
    network.cable(false);
    let before = paper.with(|p| p.printed.len());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(paper.with(|p| p.printed.len()) < job.len(), "it stood still");
    network.cable(true);
    network.calm();
    within("the job", sending).await.expect("no panic").expect("sent");
    until("the rest", || paper.with(|p| p.printed.len()) == job.len());
    assert!(paper.with(|p| p.printed == job), "each byte once, from {before} on");
    link.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_there_is_said_in_time_and_with_the_next_step() {
    let network = Network::new();
    let start = Instant::now();
    let refused = within("refusal", link::open(&address(9101))).await.expect_err("nobody listens");
    assert_eq!(refused.kind(), Kind::Refused, "{refused}");
    assert!(refused.to_string().contains("10.7.0.2:9101") && refused.next_step().is_some(), "{refused}");
    assert!(start.elapsed() < Duration::from_secs(1));

    network.disturb("loss 100%");
    let silent = within("giving up", link::open(&address(9100))).await.expect_err("a black hole");
    assert!(matches!(silent.kind(), Kind::NotFound | Kind::Timeout), "{silent}");
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    measured(&format!("network, nobody there: said after {} ms", start.elapsed().as_millis()));
    network.calm();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_goes_away_ends_the_link() {
    let network = Network::new();
    let paper = Shared::new(Paper::default());
    let device = network.serve(9100, paper.clone());
    let link = link::open(&address(device.port())).await.expect("opens");
    ask(&*link).await;
    paper.with(|p| p.actions.push(tresen_hal::sim::Action::HangUp));
    let end = within("the end", link.recv(&mut Vec::new())).await.expect_err("it hung up");
    assert_eq!(end.kind(), Kind::Closed, "{end}");
    let again = link::open(&address(device.port())).await.expect("it takes the next host");
    ask(&*again).await;
    again.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn is_as_fast_as_a_bare_loop() {
    const JOB: usize = 16 << 20;
    let network = Network::new();
    let paper = Shared::new(Paper::default());
    let device = network.serve(9100, paper.clone());
    let job = vec![0x55_u8; JOB];
    let arrived = || until("the job", || paper.with(|p| p.printed.len() >= JOB));
    let mut race = Race::new();
    for _ in 0..Race::LAPS {
        paper.with(|p| p.printed = Vec::with_capacity(JOB));
        let link = link::open(&address(device.port())).await.expect("opens");
        let start = Instant::now();
        within("sending", link.send(&job)).await.expect("sent");
        arrived();
        race.link(start.elapsed());
        link.close().await;
        drop(link);

        paper.with(|p| p.printed = Vec::with_capacity(JOB));
        let mut socket = tokio::net::TcpStream::connect(device).await.expect("connects");
        let start = Instant::now();
        socket.write_all(&job).await.expect("sent");
        arrived();
        race.bare(start.elapsed());
    }
    race.finish("tcp", JOB);
}
