// What a program would write with the types of the till. `.ci/typescript` compiles it; lines marked as errors must be ones.
import type { Changing, CommandName, Commands, Error as TillError, Event, Payment, Waiting } from "./tresen";

type Reply<C extends CommandName> = Commands[C]["reply"];

async function ask<C extends CommandName>(command: C, fields: Commands[C]["with"]): Promise<Reply<C>> {
  throw new Error(`${command} ${JSON.stringify(fields)}`);
}

export async function sell(): Promise<string> {
  const sale = await ask("sale.open", {});
  const id: string = sale.ticket.id;
  await ask("sale.pay-cash", { sale: id, rev: sale.rev, given: "10.00 EUR" });
  const payment: Payment = await ask("terminal.pay", { terminal: "counter", amount: "12.50 EUR", key: "a-17" });
  if ("charged" in payment) return payment.charged.amount;
  await ask("printer.print", {
    printer: "bar",
    content: { v: 1, receipt: { items: [{ type: "text", text: "Tee" }, { type: "cut" }] } },
  });
  const scan = await ask("scanner.next", { scanner: "hand", within_ms: 200 });
  return scan === null ? "" : scan.text;
}

export async function wrong(): Promise<void> {
  // @ts-expect-error: the amount is missing
  await ask("terminal.pay", { terminal: "counter" });
  // @ts-expect-error: no such field
  await ask("terminal.pay", { terminal: "counter", amount: "1.00 EUR", tip: 1 });
  // @ts-expect-error: not an amount as text
  await ask("terminal.pay", { terminal: "counter", amount: 1 });
  // @ts-expect-error: no such command
  await ask("terminal.burn", {});
  // @ts-expect-error: a reply that may be nothing
  (await ask("sale.find", { sale: "s" })).rev;
}

export function shown(event: Event): string {
  return `${event.seq} ${event.at}`;
}

export function next(error: TillError): string {
  return error.kind === "busy" && error.effect === "none" ? error.what : (error.hint ?? error.message);
}

export const pays: Changing = "terminal.pay";
export const waits: Waiting = "scanner.next";
