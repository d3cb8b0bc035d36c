import PortcullisReactor
import PortcullisTokens

/// The certificate of the listener (`tls.certificates`).
enum ListenerCertificate {
    /// nil where clients connect in the clear.
    /// - Throws: where the files are not those of a certificate that counts now and of its key, or others may read the key.
    static func context(_ settings: TLSSettings) throws(StartupError) -> TLSContext? {
        guard let (name, files) = settings.certificates.first else { return nil }
        guard settings.certificates.count == 1 else {
            throw StartupError("tls.certificates: more than one certificate is not supported yet: keep one of them.")
        }
        guard let certificate = files.certificate, let key = files.key else {
            throw StartupError("tls.certificates.\(name): set both certificate and key.")
        }
        do throws(KeyError) {
            _ = try KeySet.secretBytes(key)
        } catch {
            throw StartupError("tls.certificates.\(name).key: \(error.description)")
        }
        do throws(TLSFailure) {
            let minimum: TLSVersion = settings.minimum == .v13 ? .v13 : .v12
            let context = try TLSContext(certificate: certificate, key: key, minimum: minimum)
            try context.checkValidity(of: certificate)
            return context
        } catch {
            throw StartupError("tls.certificates.\(name): \(error.description)")
        }
    }
}
