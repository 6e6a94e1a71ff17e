// What a reader has chosen, in the page's address: #ID?name=value&…, with the id of the figure. What follows a # is
// sent to no server.
//
//   chosen(id)           the values as URLSearchParams, or null where the address has none of this figure
//   remember(id, values) puts them there; linkTo(id, values) is the whole address
//   packLevels(values), unpackLevels(text, size), packBits(values), unpackBits(text, size)
//     drawings as text; what is no such text unpacks to null

export function chosen(id) {
  return location.hash.startsWith(`#${id}?`) ? new URLSearchParams(location.hash.slice(id.length + 2)) : null;
}
export const linkTo = (id, values) => new URL(`#${id}?${new URLSearchParams(values)}`, location).href;
export const remember = (id, values) => history.replaceState(history.state, "", linkTo(id, values));

// Bytes in base64 with the letters that an address may have

const toText = (bytes) => btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
function toBytes(text) {
  if (!/^[\w-]*$/.test(text) || text.length % 4 === 1) return null;
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
}

/* Levels 1 … 15 are half bytes; a 0 and n stand for n + 1 zeros. Zeros at the end are left out. */
export function packLevels(values) {
  const halves = [];
  const end = values.findLastIndex((value) => value) + 1;
  for (let i = 0; i < end; i++) {
    halves.push(values[i]);
    if (values[i]) continue;
    let more = 0;
    while (more < 15 && !values[i + 1]) [i, more] = [i + 1, more + 1];
    halves.push(more);
  }
  if (halves.length % 2) halves.push(0);
  return toText(Uint8Array.from({ length: halves.length / 2 }, (_, i) => (halves[2 * i] << 4) | halves[2 * i + 1]));
}

export function unpackLevels(text, size) {
  const bytes = toBytes(text);
  if (!bytes) return null;
  const halves = Array.from(bytes).flatMap((byte) => [byte >> 4, byte & 15]);
  const values = [];
  for (let i = 0; i < halves.length && values.length <= size; i++) {
    if (halves[i]) values.push(halves[i]);
    else if (++i < halves.length) values.push(...Array(halves[i] + 1).fill(0));
  }
  return values.length > size ? null : Uint8Array.from({ length: size }, (_, i) => values[i] ?? 0);
}

export function packBits(values) {
  const bytes = new Uint8Array(Math.ceil(values.length / 8));
  values.forEach((value, i) => (bytes[i >> 3] |= (value ? 1 : 0) << (i & 7)));
  return toText(bytes.subarray(0, bytes.findLastIndex((byte) => byte) + 1));
}

export function unpackBits(text, size) {
  const bytes = toBytes(text);
  if (!bytes || bytes.length > Math.ceil(size / 8)) return null;
  return Uint8Array.from({ length: size }, (_, i) => (bytes[i >> 3] >> (i & 7)) & 1);
}
