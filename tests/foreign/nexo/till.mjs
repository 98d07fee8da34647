// The vendor's TerminalLocalAPI as a till: pays, is declined, asks what became of it, reverses, refunds, pays again under
// the same number, asks for a diagnosis, and prints what came back, a line of JSON each.
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { Client, Config, EnvironmentEnum, TerminalLocalAPI } = require("@adyen/api-library");

const { host, ca, poi, key } = JSON.parse(process.argv[2]);
const config = new Config({
    apiKey: "unused", environment: EnvironmentEnum.TEST, terminalApiLocalEndpoint: `https://${host}`, certificatePath: ca,
});
const api = new TerminalLocalAPI(new Client(config));
let last = 0;

async function ask(category, body, serviceId) {
    const header = {
        ProtocolVersion: "3.0", MessageClass: "Service", MessageCategory: category, MessageType: "Request",
        SaleID: "their-till", ServiceID: serviceId ?? String(++last), POIID: poi,
    };
    try {
        const answer = await api.request({ SaleToPOIRequest: { MessageHeader: header, [`${category}Request`]: body } }, key);
        console.log(JSON.stringify(answer));
        return answer.SaleToPOIResponse;
    } catch (error) {
        console.log(JSON.stringify({ error: String(error.message) }));
    }
}

const payment = (amount, more) => ({
    SaleData: {
        SaleTransactionID: { TransactionID: "Käse 1", TimeStamp: "2026-01-02T03:04:05+00:00" },
        SaleToAcquirerData: "tenderOption=ReceiptHandler",
    },
    PaymentTransaction: { AmountsReq: { Currency: "EUR", RequestedAmount: amount } },
    ...more,
});
const paid = await ask("Payment", payment(10.99));
await ask("Payment", payment(5));
await ask("TransactionStatus", {
    MessageReference: { MessageCategory: "Payment", SaleID: "their-till", ServiceID: "1" }, ReceiptReprintFlag: true,
});
await ask("TransactionStatus", { MessageReference: { MessageCategory: "Payment", SaleID: "their-till", ServiceID: "99" } });
await ask("Reversal", {
    OriginalPOITransaction: { POITransactionID: paid.PaymentResponse.POIData.POITransactionID },
    ReversalReason: "MerchantCancel",
});
await ask("Payment", payment(3.5, { PaymentData: { PaymentType: "Refund" } }));
await ask("Payment", payment(10.99), "1");
await ask("Diagnosis", {});
