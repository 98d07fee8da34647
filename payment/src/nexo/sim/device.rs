//! What the simulated terminal shows, asks and prints, and what it tells the till while a transaction runs.

use std::time::Instant;

use super::super::http;
use super::super::wire::device::{
    Digits, DisplayOutput, DisplayRequest, DisplayResponse, Input, InputRequest, InputResponse, InputResult,
    OutputResult, PrintRequest, PrintResponse,
};
use super::super::wire::{
    Answer, Body, Category, Class, Direction, Header, Message, OutputContent, OutputText, Predefined,
};
use super::run::{answer_to, refusal, success};
use super::{Action, Conn, Enters, Simulator};

impl Simulator {
    pub(super) fn display(&mut self, conn: Conn, header: &Header, request: &DisplayRequest, now: Instant) {
        let mut results = Vec::new();
        for output in &request.display_output {
            let customer = output.device == "CustomerDisplay";
            if customer {
                self.shown.push(text(&output.output_content.output_text));
            }
            let response = if customer { success() } else { failure("UnavailableDevice") };
            let (device, info_qualify) = (output.device.clone(), output.info_qualify.clone());
            results.push(OutputResult { device, info_qualify, response });
        }
        let told = DisplayResponse { output_result: results };
        self.send(conn, &answer_to(header, Body::Displayed(told)), now);
    }

    pub(super) fn print(&mut self, conn: Conn, header: &Header, request: &PrintRequest, now: Instant) {
        let output = &request.print_output;
        let response = if self.profile.printer { success() } else { failure("UnavailableDevice") };
        if self.profile.printer {
            self.printed.extend(output.output_content.output_text.iter().filter_map(|run| run.text.clone()));
        }
        let told = PrintResponse { document_qualifier: output.document_qualifier.clone(), response };
        self.send(conn, &answer_to(header, Body::Printed(told)), now);
    }

    /// The customer answers at once.
    pub(super) fn ask(&mut self, conn: Conn, header: &Header, request: &InputRequest, now: Instant) {
        let data = &request.input_data;
        let entries = request.display_output.as_ref().map_or(0, |output| output.menu_entry.len());
        if let Some(output) = &request.display_output {
            self.shown.push(text(&output.output_content.output_text));
        }
        let (response, input) = match self.entered(&data.input_command, entries) {
            Ok(input) => (success(), Some(input)),
            Err(condition) => (failure(condition), None),
        };
        let (device, info_qualify) = (data.device.clone(), data.info_qualify.clone());
        let told = InputResponse {
            output_result: request.display_output.as_ref().map(|output| OutputResult {
                device: output.device.clone(),
                info_qualify: output.info_qualify.clone(),
                response: success(),
            }),
            input_result: InputResult { device, info_qualify, response, input },
        };
        self.send(conn, &answer_to(header, Body::Entered(Box::new(told))), now);
    }

    fn entered(&self, command: &str, entries: usize) -> Result<Input, &'static str> {
        let mut input = Input { input_command: command.to_owned(), ..Input::default() };
        match (command, &self.profile.enters) {
            (_, Enters::Nothing) => return Err("Cancel"),
            ("GetConfirmation", Enters::Yes) => input.confirmed_flag = Some(true),
            ("GetConfirmation", Enters::No) => input.confirmed_flag = Some(false),
            ("DigitString", Enters::Text(text)) => input.digit_input = Some(Digits(text.clone())),
            ("TextString", Enters::Text(text)) => input.text_input = Some(text.clone()),
            // A mark for each entry, as the vendor's own examples have it.
            ("GetMenuEntry", Enters::Entry(chosen)) => {
                input.menu_entry_number = (0..entries).map(|at| i64::from(at == *chosen)).collect();
            }
            _ => return Err("MessageFormat"),
        }
        Ok(input)
    }

    /// Tells the till on a connection of its own, if it is to.
    pub(super) fn tell(&mut self, of: &Header, event: &str) {
        if !self.profile.tells {
            return;
        }
        let (sale, poi) = (of.sale_id.clone(), Some(self.profile.poi.clone()));
        let header = Header {
            protocol_version: Some("3.0".into()),
            class: Class::Device,
            category: Category::Display,
            direction: Direction::Request,
            sale_id: sale,
            service_id: of.service_id.clone(),
            poi_id: poi,
        };
        let reference_id = format!("TransactionID=T{}&event={event}", self.conns_made);
        let output = DisplayOutput {
            device: "CashierDisplay".into(),
            info_qualify: "Status".into(),
            output_content: OutputContent {
                output_format: Some("MessageRef".into()),
                predefined_content: Some(Predefined { reference_id }),
                output_text: Vec::new(),
            },
            menu_entry: Vec::new(),
            response_required_flag: Some(false),
            minimum_display_time: None,
        };
        let message = Message { header, body: Body::Display(DisplayRequest { display_output: vec![output] }) };
        self.conns_made += 1;
        let conn = Conn(self.conns_made);
        // Posted in clear, as the vendor has it set up ("Decrypted").
        self.posts.insert(conn, http::request("till", &message.to_json(None)));
        self.out.push_back(Action::Dial(conn));
    }

    /// Whether the till was reached that is to be told something.
    pub fn dialled(&mut self, conn: Conn, reached: bool) {
        let Some(post) = self.posts.remove(&conn).filter(|_| reached) else { return };
        self.out.push_back(Action::Send(conn, post));
        self.told += 1;
    }
}

fn text(runs: &[OutputText]) -> String {
    let texts: Vec<_> = runs.iter().filter_map(|run| run.text.as_deref()).collect();
    texts.join("\n")
}

fn failure(condition: &str) -> Answer {
    Answer { error_condition: Some(condition.into()), ..refusal() }
}
