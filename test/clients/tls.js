/* tls.js PORT CA-FILE HOST direct|request - a session over Node's TLS, whose peer must be HOST by the CA.
 * The user is trusted.  Prints version, cipher, ALPN and the sum that PostgreSQL computed. */
const fs = require('fs'), net = require('net'), tls = require('tls');
const [port, ca, host, how] = process.argv.slice(2);

function packet(type, ...parts) {
    const body = Buffer.concat(parts), head = Buffer.alloc(4);
    head.writeInt32BE(body.length + 4);
    return Buffer.concat([Buffer.from(type), head, body]);
}

function number(n) {
    const b = Buffer.alloc(4);
    b.writeInt32BE(n);
    return b;
}

function session(plain) {
    const s = tls.connect({socket: plain, ca: fs.readFileSync(ca), servername: host,
                           ALPNProtocols: ['postgresql'], maxVersion: 'TLSv1.3'});
    let got = Buffer.alloc(0), asked = false;
    s.on('secureConnect', () => s.write(packet('', number(196608),
        Buffer.from('user\0app\0database\0app\0\0'))));
    s.on('error', e => { console.log(e.code || e.message); process.exit(1); });
    s.on('data', d => {
        got = Buffer.concat([got, d]);
        while (got.length >= 5 && got.length > got.readInt32BE(1)) {
            const type = String.fromCharCode(got[0]), end = got.readInt32BE(1) + 1;
            const body = got.subarray(5, end);
            got = got.subarray(end);
            if (type === 'E') {
                console.log(body.toString());
                process.exit(1);
            } else if (type === 'D') {
                console.log(s.getProtocol(), s.getCipher().name, s.alpnProtocol,
                            body.subarray(6).toString());
            } else if (type === 'Z' && asked) {
                s.end(packet('X'));
            } else if (type === 'Z') {
                asked = true;
                s.write(packet('Q', Buffer.from('SELECT sum(n) FROM generate_series(1, 100) n\0')));
            }
        }
    });
}

const plain = net.connect(Number(port), '127.0.0.1');
if (how === 'direct') {
    plain.once('connect', () => session(plain));
} else {
    plain.write(packet('', number(80877103)));
    plain.once('data', d => {
        if (d.toString() !== 'S') {
            console.log('answer', d.toString());
            process.exit(1);
        }
        session(plain);
    });
}
