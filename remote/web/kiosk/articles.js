// What this shop sells. Prices include the tax, which is in hundredths of a percent.
export const ARTICLES = [
  { id: "espresso", name: "Espresso", price: 240, vat: 1900 },
  { id: "cappuccino", name: "Cappuccino", price: 360, vat: 1900 },
  { id: "tea", name: "Tee / Tea", price: 310, vat: 1900 },
  { id: "water", name: "Wasser / Water 0,5 l", price: 250, vat: 1900 },
  { id: "croissant", name: "Croissant", price: 220, vat: 700 },
  { id: "bretzel", name: "Brezel / Pretzel", price: 190, vat: 700 },
  { id: "cake", name: "Käsekuchen / Cheesecake", price: 420, vat: 700 },
  { id: "soup", name: "Tagessuppe / Soup", price: 590, vat: 700 },
];
