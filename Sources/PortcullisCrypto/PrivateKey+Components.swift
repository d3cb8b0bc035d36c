extension PrivateKey {
    /// An RSA key of the numbers of a JWK (RFC 7518, section 6.3.2), big-endian; its primes and what is derived of them included.
    public convenience init(
        modulus: [UInt8],
        exponent: [UInt8],
        privateExponent: [UInt8],
        primes: (p: [UInt8], q: [UInt8]),
        derived: (dp: [UInt8], dq: [UInt8], qi: [UInt8])
    ) throws(CryptoError) {
        let parameters = try KeyParameters()
        try parameters.add("n", number: modulus)
        try parameters.add("e", number: exponent)
        try parameters.add("d", number: privateExponent)
        try parameters.add("rsa-factor1", number: primes.p)
        try parameters.add("rsa-factor2", number: primes.q)
        try parameters.add("rsa-exponent1", number: derived.dp)
        try parameters.add("rsa-exponent2", number: derived.dq)
        try parameters.add("rsa-coefficient1", number: derived.qi)
        self.init(try parameters.makeKey("RSA", hasPrivate: true))
    }

    /// A key of its point and its secret number (RFC 7518, section 6.2.2).
    public convenience init(curve: EllipticCurve, x: [UInt8], y: [UInt8], secret: [UInt8]) throws(CryptoError) {
        let parameters = try KeyParameters()
        try parameters.addPoint(curve, x, y)
        try parameters.add("priv", number: secret)
        self.init(try parameters.makeKey("EC", hasPrivate: true))
    }

    /// An Ed25519 key of its 32 secret bytes (RFC 8037, section 2).
    public convenience init(ed25519 secret: [UInt8]) throws(CryptoError) {
        guard secret.count == 32 else { throw CryptoError("An Ed25519 key has 32 bytes") }
        let parameters = try KeyParameters()
        try parameters.add("priv", octets: secret)
        self.init(try parameters.makeKey("ED25519", hasPrivate: true))
    }
}
