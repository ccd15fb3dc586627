// The fake mail server of `waybill/testing`, under the names of the tests here.

export {
  startFakeSmtpServer as startSmtp,
  type FakeMail as Mail,
  type FakeSmtpServer as SmtpServer,
  type SmtpAnswer as Answer,
  type SmtpReply as Reply,
  type SmtpStage as Stage,
} from '../../src/testing/smtp.ts';
