// Opens what a line of standard input holds with the vendor's library, and seals the line's own text with it.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const NexoCrypto = require("./node_modules/@adyen/api-library/lib/src/security/nexoCrypto.js").default;
const crypto = new NexoCrypto();

for await (const line of createInterface({ input: process.stdin })) {
    const { key, sealed, header, text } = JSON.parse(line);
    const opened = crypto.decrypt(sealed, key);
    console.log(JSON.stringify({ opened, sealed: NexoCrypto.encrypt(header, text, key) }));
}
