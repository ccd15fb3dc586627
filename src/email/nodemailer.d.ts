// nodemailer 10 ships no types. This is the part of it that smtp.ts uses.

declare module 'nodemailer' {
  export type SentInfo = {
    readonly accepted: string[];
    readonly rejected: string[];
    readonly rejectedErrors?: readonly (Error & { readonly recipient?: string; readonly response?: string })[];
    readonly response: string;
  };
  export type Transporter = {
    sendMail(mail: object): Promise<SentInfo>;
    use(step: 'compile' | 'stream', plugin: (mail: MailMessage, done: (error?: Error) => void) => void): void;
    close(): void;
  };
  export type MailMessage = {
    readonly data: Record<string, unknown>;
    readonly message: { processFunc(process: (input: NodeJS.ReadableStream) => NodeJS.ReadableStream): void };
  };
  export function createTransport(options: object): Transporter;
}
