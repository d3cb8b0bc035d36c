import Foundation
import TestKit
import Testing

@testable import PortcullisControl

/// Files that are a certificate and its key, and files that are not: each is refused with one sentence.
@Suite struct ListenerCertificateTests {
    let certificates: Certificates

    init() throws {
        certificates = try Certificates()
        let script = """
            cd \(certificates.folder.path) && exec >/dev/null &&
            openssl req -x509 -newkey rsa:1024 -nodes -keyout weak.key -out weak.pem -days 2 -subj /CN=weak &&
            openssl ec -aes128 -passout pass:x -in good.key -out locked.key &&
            openssl ca -version >/dev/null 2>&1; : >index.txt; echo 01 >serial
            openssl ca -batch -notext -config /dev/stdin -cert authority.pem -keyfile authority.key -in good.csr -out future.pem \
              -startdate 20400101000000Z -enddate 20410101000000Z -outdir . -days 2 <<END
            [ca]
            default_ca=x
            [x]
            database=index.txt
            serial=serial
            default_md=sha256
            policy=p
            [p]
            commonName=supplied
            END
            cp good.key open.key && chmod 644 open.key && cat good.pem expired.pem >chain.pem && chmod 600 weak.key locked.key
            """
        let made = try Shell.run(script)
        try #require(made.code == 0, "\(made.output)")
    }

    private func sentence(_ certificate: String, _ key: String) throws -> String? {
        func path(_ name: String) -> String { certificates.folder.appending(path: name).path }
        var settings = TLSSettings()
        settings.certificates = ["a": .init(certificate: path(certificate), key: path(key))]
        do {
            _ = try #require(try ListenerCertificate.context(settings))
            return nil
        } catch let error as StartupError {
            #expect(error.description.hasPrefix("tls.certificates.a"))
            #expect(error.description.hasSuffix(".") || error.description.contains("chmod 600"))
            return error.description
        }
    }

    @Test func aGoodOne() throws {
        #expect(try sentence("good.pem", "good.key") == nil)
        #expect(try ListenerCertificate.context(TLSSettings()) == nil)
    }

    @Test(arguments: [
        ("good.pem", "open.key", "can be read by others"),
        ("good.pem", "elsewhere.key", "elsewhere.key can't be used: it is not the key of the certificate."),
        ("expired.pem", "expired.key", "expired.pem can't be used: it has expired"),
        ("chain.pem", "good.key", "or one that it holds besides has"),
        ("future.pem", "good.key", "it is not valid yet"),
        ("weak.pem", "weak.key", "weak.pem can't be used: its key is too short"),
        ("good.pem", "locked.key", "locked.key can't be used: it is encrypted"),
        ("good.key", "good.key", "it holds nothing of that kind in PEM"),
        ("good.pem", "good.pem", "good.pem"),
        ("none.pem", "good.key", "none.pem can't be used: No such file or directory."),
        ("good.pem", "none.key", "There is no file"),
    ])
    func oneThatIsNone(_ certificate: String, _ key: String, _ why: String) throws {
        let sentence = try sentence(certificate, key)
        #expect(sentence?.contains(why) == true, "\(sentence ?? "accepted")")
    }

    @Test func whatIsNotSupportedYet() throws {
        var settings = TLSSettings()
        let one = TLSSettings.Certificate(certificate: certificates.certificate(.good), key: certificates.key(.good))
        settings.certificates = ["a": one, "b": one]
        #expect { try ListenerCertificate.context(settings) } throws: { "\($0)".contains("not supported yet") }
    }
}
